// What a claim reads of calls and agents.
#include "dispatcher/store/claim.h"
#include "schema/agent_settings.h"
#include "tests/integration/store/claim_sources.h"

namespace postcall::store {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// What ParseAgentSettings says, in a word or a sentence.
std::string Parsed(std::string_view settings) {
  const AgentSettings parsed = ParseAgentSettings(settings);
  if (std::holds_alternative<NoTarget>(parsed)) return "nothing to send";
  if (const auto* invalid = std::get_if<InvalidTarget>(&parsed))
    return invalid->url_for_log + ": " + invalid->error;
  const auto& target = std::get<Target>(parsed);
  std::string text = "to " + target.url_for_log;
  for (const Header& header : target.headers) text += ", " + header.name + ": " + header.value;
  for (const Secret& secret : target.secrets) text += ", " + secret.key;
  return text;
}

TEST_F(ClaimSources, AreTheCallWithItsDetailsAndAnalysis) {
  AddAgent("agent", R"({"webhooks": {"postCall": "https://example.com", "secret": "s\"\\é"}})");
  Query(R"sql(
      INSERT INTO calls (id, agent_id, status, recording_uri, transcript_uri)
      VALUES ('call "1" \ {2}', 'agent', 'in_progress', 's3://r', NULL);
      INSERT INTO caller_details (call_id, name, phone_number, language, city)
      VALUES ('call "1" \ {2}', E'Zo\u00eb \U0001F600 "q" \\ \n {},NULL', '', 'NULL', NULL);
      INSERT INTO call_analysis (call_id, summary, score, interests_and_needs, action_items, sentiment)
      VALUES ('call "1" \ {2}', 'sum', 123456789012345678901234567890.5,
              '{"n": 123456789012345678901234567890}', 'null', NULL);
      UPDATE calls SET status = 'completed')sql");
  int shown = 0;
  ClaimWith(Limits(10, 10), [&](const Candidate& candidate) -> Verdict {
    ++shown;
    EXPECT_EQ(candidate.call_id, "call \"1\" \\ {2}");
    EXPECT_NE(candidate.call, nullptr);
    EXPECT_NE(candidate.settings, nullptr);
    if (candidate.call == nullptr || candidate.settings == nullptr) return Leave{};
    const Call& call = *candidate.call;
    EXPECT_EQ(call.id, "call \"1\" \\ {2}");
    EXPECT_EQ(call.recording_uri, "s3://r");
    EXPECT_EQ(call.transcript_uri, std::nullopt);
    EXPECT_EQ(call.caller_details[0], "Zo\xC3\xAB \xF0\x9F\x98\x80 \"q\" \\ \n {},NULL");
    EXPECT_EQ(call.caller_details[1], "");
    EXPECT_EQ(call.caller_details[6], std::nullopt);
    EXPECT_EQ(call.caller_details[15], "NULL");
    EXPECT_EQ(call.analysis.summary, "sum");
    EXPECT_EQ(call.analysis.mood, std::nullopt);
    EXPECT_EQ(call.analysis.score, "123456789012345678901234567890.5");
    EXPECT_EQ(call.analysis.interests_and_needs, R"({"n": 123456789012345678901234567890})");
    EXPECT_EQ(call.analysis.action_items, "null");
    EXPECT_EQ(call.analysis.sentiment, std::nullopt);
    EXPECT_EQ(candidate.settings->json,
              R"({"webhooks": {"secret": "s\"\\é", "postCall": "https://example.com"}})");
    return Send{""};
  });
  EXPECT_EQ(shown, 1);
}

// A voice agent's prompt is in its settings too.
TEST_F(ClaimSources, HoldOnlyTheSettingsThatAreUsed) {
  AddAgent("agent", R"({"webhooks": {"postCall": "https://example.com", "headers": {"X-A": ""}}})");
  Query(
      "UPDATE agents SET settings = jsonb_set(settings || jsonb_build_object('prompt', repeat('x', 1000000)),"
      " '{webhooks,more}', to_jsonb(repeat('x', 1000000)))");
  AddCalls("agent", 1, "a");
  ClaimWith(Limits(1, 1), [](const Candidate& candidate) -> Verdict {
    EXPECT_EQ(candidate.settings->json.substr(0, 1000),
              R"({"webhooks": {"headers": {"X-A": ""}, "postCall": "https://example.com"}})");
    return Send{""};
  });
  EXPECT_EQ(Log("in_flight"), 1);
}

// ParseAgentSettings gives the same result for the text that a claim reads as for the whole document.
TEST_F(ClaimSources, LetSettingsOfEveryShapeBeParsedAsTheWholeDocument) {
  std::vector<std::string> documents = {
      "5", "true", "null", R"("webhooks")", "[]", R"(["webhooks", {"postCall": "https://h"}])", "{}"};
  for (const char* webhooks : {"null", "5", "true", R"("postCall")", R"(["postCall"])", "{}",
                               R"([{"postCall": "https://h"}])", R"({"headers": {"X": "1"}, "secret": 5})"}) {
    documents.push_back(R"({"webhooks": )" + std::string(webhooks) + "}");
  }
  for (const char* value :
       {"null", "5", "1e400", "true", "{}", "[]", R"("")", R"(" ")", R"("https://h/\u00e9\"")",
        R"({"X": null})", R"({"X": 1e400})", R"([1e400])", R"({"X": "1", "Y": ["1", {"Z": 1e400}]})",
        R"({"X": "1", "x": "\u0001"})", R"({"Host": ""})", R"("whsec_Zm9v")", R"(["whsec_Zm9v", null])",
        R"(["whsec_Zm9v", "YmFy"])"}) {
    documents.push_back(R"({"n": 1e400, "webhooks": {"postCall": )" + std::string(value) + "}}");
    for (const char* key : {"headers", "secret", "HEADERS", "more"}) {
      documents.push_back(R"({"webhooks": {"postCall": "https://h", ")" + std::string(key) + R"(": )" +
                          value + "}}");
    }
  }
  for (std::size_t i = 0; i < documents.size(); ++i) {
    AddAgent("a" + std::to_string(i), documents[i]);
    Query("INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at) VALUES ('" +
          std::to_string(i) + "', 'a" + std::to_string(i) + "', 'test', now(), now())");
  }
  std::size_t shown = 0;
  const int many = static_cast<int>(documents.size());
  ClaimWith(Limits(many, many), [&](const Candidate& candidate) -> Verdict {
    ++shown;
    const std::string& document = documents.at(std::stoul(std::string(candidate.call_id)));
    EXPECT_EQ(Parsed(candidate.settings->json), Parsed(document)) << document;
    return Leave{};
  });
  EXPECT_EQ(shown, documents.size());
}

TEST_F(ClaimSources, ShowNoSettingsThatAreTooLargeButTellTheirSize) {
  const std::map<std::string, std::string> large = {
      {"url", "'postCall', repeat('a', 262144)"},
      {"header", "'postCall', 'https://h', 'headers', jsonb_build_object('X', repeat('a', 262144))"},
      {"secrets",
       "'postCall', 'https://h', 'secret', (SELECT jsonb_agg(n::text) FROM generate_series(1, 50000) n)"},
      {"escapes", "'postCall', 'https://h', 'headers', jsonb_build_object('X', repeat(E'\\x01', 50000))"}};
  for (const auto& [agent, members] : large) {
    Query("INSERT INTO agents VALUES ('" + agent +
          "', '', jsonb_build_object('webhooks', jsonb_build_object(" + members + ")))");
    AddCalls(agent, 1, agent);
  }
  int shown = 0;
  ClaimWith(Limits(10, 10), [&](const Candidate& candidate) -> Verdict {
    ++shown;
    EXPECT_EQ(candidate.settings->json, "") << candidate.agent_id;
    EXPECT_GT(candidate.settings->bytes, kMaxAgentSettingsBytes) << candidate.agent_id;
    EXPECT_LT(candidate.settings->bytes, 1'000'000) << candidate.agent_id;
    return Leave{};
  });
  EXPECT_EQ(shown, 4);
}

// Nothing that can be used is too large.
// As text, each of these numbers has 131,001 digits, and PostgreSQL makes no text of more than 1 GiB.
TEST_F(ClaimSources, AreNotFilledWithTheDigitsOfNumbers) {
  const std::string headers =
      "(SELECT jsonb_object_agg(n, '1e131000'::jsonb) FROM generate_series(1, 9000) n)";
  const std::string list = "(SELECT jsonb_agg('1e131000'::jsonb) FROM generate_series(1, 9000) n)";
  const std::map<std::string, std::string> large = {
      {"url", "'postCall', " + list},
      {"headers", "'postCall', 'https://h', 'headers', " + headers},
      {"secrets", "'postCall', 'https://h', 'secret', " + list}};
  for (const auto& [agent, members] : large) {
    Query("INSERT INTO agents VALUES ('" + agent +
          "', '', jsonb_build_object('webhooks', jsonb_build_object(" + members + ")))");
    AddCalls(agent, 1, agent);
  }
  int shown = 0;
  ClaimWith(Limits(10, 10), [&](const Candidate& candidate) -> Verdict {
    ++shown;
    EXPECT_LT(candidate.settings->json.size(), 100u) << candidate.agent_id;
    EXPECT_NE(Parsed(candidate.settings->json).find(" is not a string: "), std::string::npos)
        << Parsed(candidate.settings->json);
    return Leave{};
  });
  EXPECT_EQ(shown, 3);
}

TEST_F(ClaimSources, AreTheLargestSettingsThatCanBeUsed) {
  AddAgent("agent");
  Query(
      "UPDATE agents SET settings = jsonb_build_object('webhooks', jsonb_build_object("
      " 'postCall', rpad('https://h/', 8192, '\"'), 'secret', array_fill(repeat('AAAA', 1024), ARRAY[16]),"
      " 'headers', jsonb_build_object('X', repeat('\"', 65536 - 5))))");
  AddCalls("agent", 1, "a");
  ClaimWith(Limits(1, 1), [](const Candidate& candidate) -> Verdict {
    const AgentSettings parsed = ParseAgentSettings(candidate.settings->json);
    EXPECT_TRUE(std::holds_alternative<Target>(parsed)) << Parsed(candidate.settings->json);
    return Send{""};
  });
  Query(
      "UPDATE agents SET settings = jsonb_set(settings, '{webhooks,headers}',"
      " (SELECT jsonb_object_agg('x' || n, repeat('\"', 65536 / 100 - 8))"
      "    FROM generate_series(10, 109) AS n))");
  AddCalls("agent", 1, "b");
  ClaimWith(Limits(1, 1), [](const Candidate& candidate) -> Verdict {
    const AgentSettings parsed = ParseAgentSettings(candidate.settings->json);
    EXPECT_TRUE(std::holds_alternative<Target>(parsed)) << Parsed(candidate.settings->json);
    EXPECT_LE(candidate.settings->bytes, kMaxAgentSettingsBytes);
    return Send{""};
  });
  EXPECT_EQ(Log("in_flight"), 2);
}

// The order of the columns in the statement is the order of the payload's keys.
TEST_F(ClaimSources, PutEachColumnInItsPlace) {
  AddAgent("agent");
  Query("INSERT INTO calls (id, agent_id, status) VALUES ('c', 'agent', 'completed')");
  std::string columns, values;
  for (const Field& field : kCallerDetailFields) {
    columns += ", " + std::string(field.column);
    values += ", 'the " + std::string(field.column) + "'";
  }
  Query("INSERT INTO caller_details (call_id" + columns + ") VALUES ('c'" + values + ")");
  Query(
      "INSERT INTO call_analysis VALUES ('c', 'the summary', 'the mood', 85, 'the outcome', 'the "
      "classification', "
      "'[1]', '[2]', '[3]')");
  ClaimWith(Limits(1, 1), [](const Candidate& candidate) -> Verdict {
    for (std::size_t i = 0; i < kCallerDetailFields.size(); ++i) {
      EXPECT_EQ(candidate.call->caller_details[i], "the " + std::string(kCallerDetailFields[i].column));
    }
    const CallAnalysis& analysis = candidate.call->analysis;
    EXPECT_EQ(analysis.summary, "the summary");
    EXPECT_EQ(analysis.mood, "the mood");
    EXPECT_EQ(analysis.score, "85");
    EXPECT_EQ(analysis.call_outcome, "the outcome");
    EXPECT_EQ(analysis.classification, "the classification");
    EXPECT_EQ(analysis.interests_and_needs, "[1]");
    EXPECT_EQ(analysis.action_items, "[2]");
    EXPECT_EQ(analysis.sentiment, "[3]");
    return Leave{};
  });
}

TEST_F(ClaimSources, TellThatTheCallOrTheAgentWasRemoved) {
  AddAgent("stays");
  AddAgent("goes");
  AddCalls("stays", 2, "s");
  AddCalls("goes", 1, "g");
  Query("DELETE FROM calls WHERE id IN ('s1', 'g1')");
  Query("DELETE FROM agents WHERE id = 'goes'");
  std::map<std::string, std::pair<bool, bool>> seen;
  ClaimWith(Limits(10, 10), [&](const Candidate& candidate) -> Verdict {
    seen[std::string(candidate.call_id)] = {candidate.call != nullptr, candidate.settings != nullptr};
    return Leave{};
  });
  EXPECT_EQ(seen, (std::map<std::string, std::pair<bool, bool>>{
                      {"s1", {false, true}}, {"s2", {true, true}}, {"g1", {false, false}}}));
}

// webhook_enqueue leaves the agent empty when it cannot read the call.
TEST_F(ClaimSources, FindTheAgentOfACallThatCouldNotBeReadWhenItWasCompleted) {
  AddAgent("a");
  AddAgent("b");
  AddCalls("a", 2, "a");
  AddCalls("b", 2, "b");
  Query("UPDATE webhook_outbox SET agent_id = '' WHERE call_id IN ('a1', 'b1')");
  Seen seen;
  const Made claimed = ClaimWith(Limits(10, 10), [&](const Candidate& candidate) {
    EXPECT_NE(candidate.settings, nullptr) << candidate.call_id;
    EXPECT_NE(candidate.call, nullptr) << candidate.call_id;
    return seen.SendAll()(candidate);
  });
  EXPECT_THAT(seen.calls, ElementsAre("a2", "b2", "a1", "b1"));
  EXPECT_THAT(seen.agents, ElementsAre("a", "b", "a", "b"));
  EXPECT_THAT(claimed.to_send, SizeIs(4));
  EXPECT_EQ(
      Value("SELECT string_agg(call_id || ' ' || agent_id, ', ' ORDER BY call_id) FROM webhook_deliveries"),
      "a1 a, a2 a, b1 b, b2 b");
  EXPECT_EQ(Outbox(), 0);
}

TEST_F(ClaimSources, ShowNoAgentOfACallThatWasRemovedAndNeverRead) {
  AddAgent("a");
  AddCalls("a", 2, "a");
  Query("UPDATE webhook_outbox SET agent_id = ''");
  Query("DELETE FROM calls WHERE id = 'a1'");
  std::map<std::string, std::pair<std::string, bool>> seen;
  ClaimWith(Limits(10, 10), [&](const Candidate& candidate) -> Verdict {
    seen[std::string(candidate.call_id)] = {std::string(candidate.agent_id), candidate.settings != nullptr};
    return Leave{};
  });
  EXPECT_EQ(seen,
            (std::map<std::string, std::pair<std::string, bool>>{{"a1", {"", false}}, {"a2", {"a", true}}}));
}

// The outbox does not have its agent, so the claims must step over it by the agent that it has: none.
TEST_F(ClaimSources, OfACallWhoseAgentIsFoundAndWhichCannotBeReadHoldUpNoOther) {
  for (const char* agent : {"a", "b"}) {
    AddAgent(agent);
    AddCalls(agent, 3, agent);
  }
  Query("UPDATE webhook_outbox SET agent_id = '' WHERE call_id = 'b2'");
  ComputeInView("name", "CASE call_id WHEN 'b2' THEN (1 / length(left(call_id, 0)))::text END");
  Seen seen;
  TestLimits limits = Limits(30, 10);
  for (int claims = 0; claims < 12; ++claims) limits.after = ClaimWith(limits, seen.SendAll()).last_agent;
  EXPECT_THAT(seen.calls, ::testing::UnorderedElementsAre("a1", "a2", "a3", "b1", "b3"));
  EXPECT_THAT(slow_readers_, ElementsAre(AgentId()));
  ClaimSlow(seen.SendAll());
  EXPECT_EQ(Value("SELECT concat_ws(' ', call_id, unread, due_at > now()) FROM webhook_outbox"), "b2 1 t");
}

TEST_F(ClaimSources, ThatStillCannotTellTheAgentHoldUpNoOtherCall) {
  for (const char* agent : {"a", "b"}) {
    AddAgent(agent);
    AddCalls(agent, 10, agent);
  }
  Query("UPDATE webhook_outbox SET agent_id = '' WHERE call_id IN ('a1', 'b4', 'b5')");
  Query(
      "CREATE FUNCTION checked(call_id text) RETURNS text LANGUAGE plpgsql STABLE AS"
      " $$ BEGIN IF call_id = 'b4' THEN RAISE 'not this'; END IF; RETURN call_id; END $$");
  ComputeInView("agent_id", "CASE WHEN checked(call_id) <> '' THEN agent_id END");
  Seen seen;
  TestLimits limits = Limits(30, 10);
  for (int claims = 0; claims < 12; ++claims) limits.after = ClaimWith(limits, seen.SendAll()).last_agent;
  for (int claims = 0; claims < 12; ++claims) ClaimSlow(seen.SendAll());
  EXPECT_EQ(Value("SELECT call_id || ' ' || agent_id || ' ' || unread || ' ' || (due_at > now()) FROM "
                  "webhook_outbox"),
            "b4  1 true");
  EXPECT_EQ(Log("in_flight"), 19);

  int claims = 0;
  while (Outbox() > 0 && claims < 100) {
    Query("UPDATE webhook_outbox SET due_at = now()");
    ClaimSlow(seen.SendAll());
    ++claims;
  }
  EXPECT_EQ(claims, 5);
  EXPECT_EQ(Value("SELECT outcome || ' ' || error FROM webhook_deliveries WHERE call_id = 'b4'"),
            "not_sent unreadable");
}

}  // namespace
}  // namespace postcall::store
