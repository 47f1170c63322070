// What the judge is shown of calls and agents.
#include <numeric>

#include "dispatcher/store/claim.h"
#include "tests/integration/store/store_test.h"

namespace postcall::store {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class ClaimSources : public StoreTest {
 protected:
  Claimed ClaimWith(const ClaimLimits& limits, const Decide& decide) {
    return std::get<Claimed>(dispatcher_.Claim(session_, limits, decide));
  }

  // Without compression, as a recording's transcript would be: each `bytes` long.
  void AddAnalyses(const std::string& prefix, int count, std::int64_t bytes) {
    Query("ALTER TABLE call_analysis ALTER interests_and_needs SET STORAGE EXTERNAL");
    pqxx::work work(platform_);
    work.exec_params(R"sql(
        INSERT INTO call_analysis (call_id, interests_and_needs)
        SELECT $1 || n, to_jsonb(repeat('x', $3::int))
          FROM generate_series(1, $2::int) AS n
    )sql",
                     prefix, count, bytes);
    work.commit();
  }

  Starter dispatcher_;
};

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
    EXPECT_EQ(*candidate.settings,
              R"({"webhooks": {"secret": "s\"\\é", "postCall": "https://example.com"}})");
    return Send{""};
  });
  EXPECT_EQ(shown, 1);
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

TEST_F(ClaimSources, TellThatTheCallOrTheAgentIsGone) {
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

TEST_F(ClaimSources, StopAtTheLimitOfBytes) {
  constexpr std::int64_t kMiB = 1 << 20;
  AddAgent("a");
  AddAgent("b");
  AddCalls("a", 25, "a");
  AddCalls("b", 25, "b");
  AddAnalyses("a", 25, 5 * kMiB);
  AddAnalyses("b", 25, 5 * kMiB);
  ClaimLimits limits = Limits(50, 25);
  limits.max_bytes = 22 * kMiB;
  std::int64_t shown = 0;
  const Claimed claimed = ClaimWith(limits, [&](const Candidate& candidate) -> Verdict {
    shown += static_cast<std::int64_t>(candidate.call->analysis.interests_and_needs->size());
    return Send{""};
  });
  EXPECT_THAT(claimed.sent, SizeIs(5)) << "four make 20 MiB, the fifth passes the limit";
  EXPECT_EQ(shown / kMiB, 25);
  EXPECT_TRUE(claimed.more);
  EXPECT_EQ(claimed.last_agent, AgentId("a"));
  EXPECT_EQ(Outbox(), 45);
  // The next claim begins with the other agent.
  limits.after = claimed.last_agent;
  Seen seen;
  ClaimWith(limits, seen.SendAll());
  EXPECT_THAT(seen.agents, ElementsAre("b", "b", "b", "b", "b"));
}

TEST_F(ClaimSources, AlwaysGiveTheFirstRow) {
  AddAgent("a");
  AddCalls("a", 2, "a");
  AddAnalyses("a", 2, 1 << 20);
  ClaimLimits limits = Limits(50, 25);
  limits.max_bytes = 1;
  Seen seen;
  EXPECT_THAT(ClaimWith(limits, seen.SendAll()).sent, SizeIs(1));
  EXPECT_THAT(ClaimWith(limits, seen.SendAll()).sent, SizeIs(1));
}

// Compressed a thousand times, a hundred such rows are small on disk: their text is what counts.
TEST_F(ClaimSources, CountTextAndNotWhatItTakesOnDisk) {
  AddAgent("a");
  AddCalls("a", 100, "a");
  Query(
      "INSERT INTO call_analysis (call_id, sentiment) "
      "SELECT 'a' || n, to_jsonb(repeat('x', 1000000)) FROM generate_series(1, 100) AS n");
  ClaimLimits limits = Limits(100, 100);
  limits.max_bytes = 10'000'000;
  Seen seen;
  EXPECT_THAT(ClaimWith(limits, seen.SendAll()).sent, SizeIs(10));
}

// A platform's own view may raise an error for a row.
TEST_F(ClaimSources, ThatCannotBeReadHoldUpNoOtherAgent) {
  for (const char* agent : {"a", "b", "c"}) {
    AddAgent(agent);
    AddCalls(agent, 10, agent);
  }
  Query("CREATE TABLE broken AS SELECT 'b4' AS call_id");
  Query("ALTER VIEW webhook_source RENAME TO whole_source");
  Query(
      "CREATE VIEW webhook_source AS SELECT * FROM whole_source "
      "WHERE 1 / (SELECT count(*) - 1 + (call_id <> ALL (SELECT b.call_id FROM broken b))::int FROM agents "
      "WHERE id = 'a') > 0");
  Seen seen;
  ClaimLimits limits = Limits(30, 10);
  for (int claims = 0; claims < 12; ++claims) limits.after = ClaimWith(limits, seen.SendAll()).last_agent;
  EXPECT_EQ(seen.calls.size(), 29u) << "all but the one";
  EXPECT_EQ(Log("in_flight"), 29);
  EXPECT_EQ(Value("SELECT call_id || ' ' || returns || ' ' || (due_at > now()) FROM webhook_outbox"),
            "b4 1 true");
  Query("DELETE FROM broken; UPDATE webhook_outbox SET due_at = now()");
  EXPECT_THAT(ClaimWith(limits, seen.SendAll()).sent, SizeIs(1));
}

TEST_F(ClaimSources, HoldUpNoOtherAgentWhateverTheyRaise) {
  for (const char* agent : {"a", "b"}) {
    AddAgent(agent);
    AddCalls(agent, 10, agent);
  }
  Query(
      "CREATE FUNCTION checked(call_id text) RETURNS text LANGUAGE plpgsql STABLE AS"
      " $$ BEGIN IF call_id = 'b4' THEN RAISE 'not this'; END IF; RETURN call_id; END $$");
  Query("ALTER VIEW webhook_source RENAME TO whole_source");
  // For one call the function raises; another has two names.
  const std::string columns = Value(
      "SELECT string_agg(CASE attname WHEN 'name' THEN '(SELECT checked(call_id) UNION ALL SELECT call_id"
      " WHERE call_id = ''b7'') AS name' ELSE attname::text END, ', ' ORDER BY attnum)"
      " FROM pg_attribute WHERE attrelid = 'whole_source'::regclass");
  Query("CREATE VIEW webhook_source AS SELECT " + columns + " FROM whole_source");
  Seen seen;
  ClaimLimits limits = Limits(30, 10);
  for (int claims = 0; claims < 20; ++claims) limits.after = ClaimWith(limits, seen.SendAll()).last_agent;
  EXPECT_EQ(seen.calls.size(), 18u) << "all but the two";
  EXPECT_EQ(Value("SELECT string_agg(call_id, ' ' ORDER BY call_id) FROM webhook_outbox"), "b4 b7");
}

TEST_F(ClaimSources, ThatCannotBeReadForTenMinutesEnd) {
  AddAgent("a");
  AddCalls("a", 1, "a");
  Query("ALTER VIEW webhook_source RENAME TO whole_source");
  Query(
      "CREATE VIEW webhook_source AS SELECT * FROM whole_source "
      "WHERE 1 / (SELECT count(*) - 1 FROM agents) > 0");
  Seen seen;
  int claims = 0;
  while (Outbox() > 0 && claims < 100) {
    Query("UPDATE webhook_outbox SET due_at = now()");
    const Claimed claimed = ClaimWith(Limits(10, 10), seen.SendAll());
    ++claims;
    EXPECT_THAT(claimed.finished, SizeIs(Outbox() == 0 ? 1 : 0));
  }
  EXPECT_EQ(claims, 21);
  EXPECT_EQ(Value("SELECT outcome || ' ' || reached || ' ' || error FROM webhook_deliveries"),
            "not_sent nothing unreadable");
  EXPECT_EQ(Value("SELECT unaccounted FROM webhook_reconciliation"), "0");
}

}  // namespace
}  // namespace postcall::store
