// A platform completes calls, changes them and writes the analysis in every way. The endpoint gets what was
// written, once, and no statement of the platform fails because of us.
#include <atomic>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using ::testing::UnorderedElementsAre;

class PlatformTest : public SystemTest {
 protected:
  void SetUp() override {
    platform_.AddAgent("agent", endpoint_.Url("/hook"));
    ASSERT_TRUE(service_.WaitUntilReady());
  }

  // The bodies that the endpoint received, by call.
  std::map<std::string, std::string> Bodies(const HostileEndpoint& endpoint) const {
    std::map<std::string, std::string> bodies;
    for (const RequestEntry& request : endpoint.ledger().Requests()) bodies[request.call_id] = request.body;
    return bodies;
  }
  std::vector<std::string> Calls(const HostileEndpoint& endpoint) const {
    std::vector<std::string> calls;
    for (const auto& [call, body] : Bodies(endpoint)) calls.push_back(call);
    return calls;
  }

  static std::string Payload(const std::string& call, const std::string& analysis = "") {
    return R"({"callId":")" + call + R"(","callerDetails":{},"callAnalysis":{)" + analysis + "}}";
  }

  // The URL for a new role that has `rights` and no rights on our tables. Roles belong to the whole server,
  // so each has a number.
  std::string UrlOfRole(const std::string& rights) {
    static int number = 0;
    const std::string role = "platform_" + std::to_string(++number);
    platform_.Query("CREATE ROLE " + role + " LOGIN");
    platform_.Query("GRANT " + rights + " TO " + role);
    return SharedPostgres().Url(platform_.Value("SELECT current_database()"), role);
  }

  Service service_{Run()};
};

TEST_F(PlatformTest, CallsCompletedByEveryStatementArriveAsTheyWereWritten) {
  platform_.Query("INSERT INTO calls (id, agent_id, status) VALUES ('insert', 'agent', 'completed')");
  platform_.Query(
      "INSERT INTO calls (id, agent_id, status) SELECT 'many-' || n, 'agent', 'completed'"
      " FROM generate_series(1, 3) AS n");
  platform_.Query(
      "INSERT INTO calls (id, agent_id, status) VALUES ('update', 'agent', 'queued'),"
      " ('upsert-known', 'agent', 'in_progress'), ('upsert-renewed', 'agent', 'completed'),"
      " ('failed', 'agent', 'failed'), ('canceled', 'agent', 'canceled'), ('queued', 'agent', 'queued')");
  platform_.Query("UPDATE calls SET status = 'in_progress' WHERE id = 'update'");
  platform_.Query("UPDATE calls SET status = 'completed' WHERE id = 'update'");
  platform_.Query(R"(COPY calls (id, agent_id, status, recording_uri)
                     FROM PROGRAM 'printf "copy\tagent\tcompleted\thttps://storage/copy.ogg\ncopied\tagent\tqueued\t\\\\N\n"')");
  for (const std::string call : {"upsert-new", "upsert-known", "upsert-renewed"}) {
    platform_.Query("INSERT INTO calls (id, agent_id, status) VALUES ('" + call +
                    "', 'agent', 'completed') ON CONFLICT (id) DO UPDATE SET status = excluded.status");
  }
  platform_.Query(
      "INSERT INTO calls (id, agent_id, status) VALUES ('insert', 'agent', 'completed'),"
      " ('nothing-new', 'agent', 'completed') ON CONFLICT DO NOTHING");
  ExpectTheOracleIsContent({}, {&service_});
  std::map<std::string, std::string> expected;
  for (const std::string call : {"insert", "many-1", "many-2", "many-3", "update", "upsert-new",
                                 "upsert-known", "upsert-renewed", "nothing-new"}) {
    expected[call] = Payload(call);
  }
  expected["copy"] =
      R"({"callId":"copy","recordingUri":"https://storage/copy.ogg","callerDetails":{},"callAnalysis":{}})";
  EXPECT_EQ(Bodies(endpoint_), expected);
  EXPECT_EQ(endpoint_.ledger().RequestCount(), expected.size());
}

TEST_F(PlatformTest, EveryColumnArrivesAsItWasWritten) {
  platform_.Query(R"(
    BEGIN;
    INSERT INTO calls VALUES ('full', 'agent', 'in_progress', 'https://s/r.ogg', 'https://s/t.json', now(), NULL);
    INSERT INTO call_analysis VALUES ('full', E'said "hi"\n', 'good', 92.50, 'booked', '',
      '{"b": 123456789012345678901234567890, "a": []}', '["send \u00fc", null]', 'null');
    UPDATE calls SET status = 'completed', completed_at = now() WHERE id = 'full';
    INSERT INTO caller_details VALUES ('full', 'Jörg', '+1', 'a@b', 'soon', 'A 1', '110001', 'Delhi', 'DL', 'India', '30',
      'f', 'baker', 'Acme', 'phone', 'noon', 'hi');
    COMMIT)");
  ExpectTheOracleIsContent({}, {&service_});
  EXPECT_EQ(
      Bodies(endpoint_)["full"],
      R"({"callId":"full","recordingUri":"https://s/r.ogg","transcriptUri":"https://s/t.json","callerDetails":{)"
      R"("name":"Jörg","phoneNumber":"+1","email":"a@b","scheduledTime":"soon","address":"A 1","pincode":"110001",)"
      R"("city":"Delhi","state":"DL","country":"India","age":"30","gender":"f","occupation":"baker","company":"Acme",)"
      R"("preferredContactMethod":"phone","bestTimeToCall":"noon","language":"hi"},"callAnalysis":{)"
      R"("summary":"said \"hi\"\n","mood":"good","score":92.50,"callOutcome":"booked","classification":"",)"
      R"("interestsAndNeeds":{"a":[],"b":123456789012345678901234567890},"actionItems":["send ü",null],)"
      R"("sentiment":null}})");
}

// Without a secret, too. A receiver can tell by it that it has a call already.
TEST_F(PlatformTest, EachPostHasTheWebhookIdOfItsCall) {
  platform_.Query("INSERT INTO calls (id, agent_id, status) VALUES ('a.b', 'agent', 'completed')");
  ExpectTheOracleIsContent({}, {&service_});
  ASSERT_EQ(endpoint_.ledger().RequestCount(), 1U);
  const RequestEntry request = endpoint_.ledger().Requests()[0];
  EXPECT_EQ(request.Header("webhook-id"), "call_a%2Eb");
  EXPECT_EQ(request.Header("webhook-timestamp"), std::nullopt);
  EXPECT_EQ(request.Header("webhook-signature"), std::nullopt);
}

TEST_F(PlatformTest, ACallIsSentOnceHoweverOftenItIsCompleted) {
  platform_.Query(
      "INSERT INTO calls (id, agent_id, status) VALUES ('flips', 'agent', 'completed'),"
      " ('again', 'agent', 'completed')");
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(2));
  for (int i = 0; i < 3; ++i) {
    platform_.Query("UPDATE calls SET status = 'in_progress' WHERE id = 'flips'");
    platform_.Query("UPDATE calls SET status = 'completed' WHERE id = 'flips'");
    platform_.Query("UPDATE calls SET status = 'completed', completed_at = now()");
    platform_.Query("DELETE FROM calls WHERE id = 'again'");
    platform_.Query("INSERT INTO calls (id, agent_id, status) VALUES ('again', 'agent', 'completed')");
  }
  // All in one transaction, so that no dispatcher can see the states in between.
  platform_.Query(
      "BEGIN; INSERT INTO calls (id, agent_id, status) VALUES ('at-once', 'agent', 'completed');"
      " UPDATE calls SET status = 'in_progress' WHERE id = 'at-once';"
      " UPDATE calls SET status = 'completed' WHERE id = 'at-once';"
      " DELETE FROM calls WHERE id = 'at-once';"
      " INSERT INTO calls (id, agent_id, status) VALUES ('at-once', 'agent', 'completed'); COMMIT");
  platform_.CompleteCalls("agent", "last-", 1);
  ExpectTheOracleIsContent({}, {&service_});
  EXPECT_THAT(Calls(endpoint_), UnorderedElementsAre("flips", "again", "at-once", "last-1"));
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 4U);
}

// The calls wait for an analysis, so that all changes are committed before the claim.
TEST_F(PlatformTest, WhatChangesBeforeTheClaimCounts) {
  HostileEndpoint other;
  for (const std::string agent :
       {"call-deleted", "agent-deleted", "url-changed", "url-removed", "url-emptied"}) {
    platform_.AddAgent(agent, endpoint_.Url("/old"));
  }
  platform_.Query("INSERT INTO agents (id) VALUES ('url-added')");
  platform_.Query(
      "BEGIN; SET LOCAL postcall.wait_for = 'analysis'; SET LOCAL postcall.wait_at_most = '1 hour';"
      " INSERT INTO calls (id, agent_id, status) SELECT id, id, 'completed' FROM agents; COMMIT");
  platform_.Query("DELETE FROM calls WHERE id IN ('call-deleted', 'agent-deleted')");
  platform_.Query("DELETE FROM agents WHERE id = 'agent-deleted'");
  platform_.Query("UPDATE agents SET settings = jsonb_set(settings, '{webhooks,postCall}', to_jsonb('" +
                  other.Url("/new") + "'::text)) WHERE id = 'url-changed'");
  platform_.Query("UPDATE agents SET settings = '{}' WHERE id = 'url-removed'");
  platform_.Query(
      R"(UPDATE agents SET settings = '{"webhooks": {"postCall": ""}}' WHERE id = 'url-emptied')");
  // This was decided when the call was completed, and is final.
  platform_.Query(
      "UPDATE agents SET settings = jsonb_build_object('webhooks', jsonb_build_object('postCall', '" +
      endpoint_.Url("/added") + "')) WHERE id = 'url-added'");
  platform_.Query("UPDATE calls SET status = 'in_progress' WHERE id = 'url-added'");
  platform_.Query("UPDATE calls SET status = 'completed' WHERE id = 'url-added'");
  platform_.Query("UPDATE webhook_outbox SET due_at = clock_timestamp()");  // the hour is over
  ExpectTheOracleIsContent({}, {&service_}, {&other});
  EXPECT_THAT(Calls(other), UnorderedElementsAre("url-changed"));
  EXPECT_THAT(Calls(endpoint_), UnorderedElementsAre("agent"));
  EXPECT_EQ(platform_.Value("SELECT string_agg(call_id || ' ' || outcome, ', ' ORDER BY call_id)"
                            " FROM webhook_deliveries WHERE call_id <> 'agent'"),
            "agent-deleted skipped, call-deleted skipped, url-changed delivered, url-emptied skipped,"
            " url-removed skipped");
  EXPECT_EQ(platform_.Value("SELECT reason FROM webhook_declined"), "no_url");
}

TEST_F(PlatformTest, AnImportSendsNothingThenOrLater) {
  platform_.Query(
      "BEGIN; SET LOCAL postcall.enqueue = 'off';"
      " INSERT INTO calls (id, agent_id, status) VALUES ('old-1', 'agent', 'completed'),"
      " ('old-2', 'agent', 'completed'), ('running', 'agent', 'in_progress');"
      " UPDATE calls SET recording_uri = 'https://r'; COMMIT");
  platform_.Query("UPDATE calls SET recording_uri = 'https://s'");
  platform_.Query("UPDATE calls SET status = 'in_progress' WHERE id = 'old-1'");
  platform_.Query("UPDATE calls SET status = 'completed'");
  ExpectTheOracleIsContent({}, {&service_});
  EXPECT_THAT(Calls(endpoint_), UnorderedElementsAre("running"));
}

TEST_F(PlatformTest, ARoleWithoutAnyRightsOnOurTablesCompletesCalls) {
  platform_.Query("CREATE ROLE platform_rights");
  platform_.Query(
      "GRANT SELECT, INSERT, UPDATE, DELETE ON agents, calls, caller_details, call_analysis"
      " TO platform_rights");
  Platform role(UrlOfRole("platform_rights"));
  EXPECT_THROW(role.Query("SELECT FROM webhook_outbox"), pqxx::insufficient_privilege);
  EXPECT_THROW(role.Query("SELECT FROM webhook_deliveries"), pqxx::insufficient_privilege);
  role.AddAgent("theirs", endpoint_.Url("/hook"));
  role.CompleteCalls("theirs", "call-", 3);
  role.Query("DELETE FROM calls WHERE id = 'call-3'");
  ExpectTheOracleIsContent({}, {&service_});
  EXPECT_EQ(
      platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE outcome IN ('delivered', 'skipped')"),
      "3");
  platform_.Query("DROP OWNED BY platform_rights");
  platform_.Query("DROP ROLE platform_rights");
}

// The trigger cannot read the agent's settings then, but the platform's transaction succeeds.
TEST_F(PlatformTest, CallsCompletedWhileATableIsLockedArrive) {
  platform_.AddAgent("quiet", endpoint_.Url("/quiet"));
  platform_.Query(
      "INSERT INTO calls (id, agent_id, status) VALUES ('locked', 'agent', 'queued'), ('gone', 'agent', "
      "'queued'),"
      " ('quiet', 'quiet', 'queued'), ('after', 'agent', 'queued')");
  platform_.Query("UPDATE agents SET settings = '{}' WHERE id = 'quiet'");
  {
    pqxx::connection connection(database_url_);
    pqxx::work locking(connection);
    locking.exec("LOCK TABLE agents, call_analysis IN ACCESS EXCLUSIVE MODE");
    platform_.Query(
        "BEGIN; SET LOCAL lock_timeout = '50ms'; UPDATE calls SET status = 'completed' WHERE id <> 'after';"
        " COMMIT");
    EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_outbox"), "3");
    locking.exec("DELETE FROM calls WHERE id = 'gone'");
    locking.commit();
  }
  platform_.Query("UPDATE calls SET status = 'completed' WHERE id = 'after'");
  ExpectTheOracleIsContent({}, {&service_});
  EXPECT_THAT(Calls(endpoint_), UnorderedElementsAre("locked", "after"));
  EXPECT_EQ(
      platform_.Value("SELECT string_agg(call_id || ' ' || agent_id || ': ' || error, ' ' ORDER BY call_id)"
                      " FROM webhook_deliveries WHERE outcome = 'skipped'"),
      "gone agent: The call was removed after it was enqueued."
      " quiet quiet: The agent's webhook URL was removed after the call was enqueued.");
}

// Half of the agents have no URL. Every transaction is SERIALIZABLE, and none is repeated.
TEST_F(PlatformTest, CallsCompletedInSerializableTransactionsArriveAndNoneOfThemFails) {
  platform_.Query("INSERT INTO agents (id) VALUES ('mute')");
  constexpr int kPlatforms = 8;
  constexpr int kCalls = 100;
  std::atomic<int> failures = 0;
  std::vector<std::thread> platforms;
  for (int n = 0; n < kPlatforms; ++n) {
    platforms.emplace_back([&, n] {
      pqxx::connection connection(database_url_);
      for (int call = 0; call < kCalls; ++call) {
        try {
          pqxx::transaction<pqxx::serializable> work(connection);
          work.exec("INSERT INTO calls (id, agent_id, status) VALUES ('" + std::to_string(call) + "-" +
                    std::to_string(n) + "', '" + (call % 2 == 0 ? "agent" : "mute") + "', 'completed')");
          work.commit();
        } catch (const pqxx::serialization_failure&) {
          ++failures;
        }
      }
    });
  }
  for (std::thread& platform : platforms) platform.join();
  EXPECT_EQ(failures, 0);
  ExpectTheOracleIsContent({}, {&service_});
  EXPECT_EQ(endpoint_.ledger().RequestCount(), std::size_t{kPlatforms * kCalls / 2});
}

// --- postcall.wait_for

class WaitForAnalysis : public PlatformTest {
 protected:
  // Every new connection has the setting, like the connections of a platform.
  std::unique_ptr<Platform> WithWait(const std::string& at_most) {
    const std::string set =
        "ALTER DATABASE " + platform_.Value("SELECT current_database()") + " SET postcall.";
    platform_.Query(set + "wait_for = 'analysis'");
    platform_.Query(set + "wait_at_most = '" + at_most + "'");
    return std::make_unique<Platform>(database_url_);
  }
  static std::string Analysis(const std::string& call) {
    return "INSERT INTO call_analysis (call_id, summary) VALUES ('" + call + "', 'of " + call + "')";
  }
};

TEST_F(WaitForAnalysis, SendsAsSoonAsTheAnalysisIsCommitted) {
  const auto platform = WithWait("1 hour");
  platform->Query(
      "INSERT INTO calls (id, agent_id, status) SELECT unnest(ARRAY['before', 'in-front', 'behind', 'after',"
      " 'updated', 'beside-1', 'beside-2']), 'agent', 'in_progress'");
  const std::string complete = "UPDATE calls SET status = 'completed' WHERE id = ";
  platform->Query(Analysis("before"));
  platform->Query(complete + "'before'");
  platform->Query("BEGIN; " + Analysis("in-front") + "; " + complete + "'in-front'; COMMIT");
  platform->Query("BEGIN; " + complete + "'behind'; " + Analysis("behind") + "; COMMIT");
  platform->Query(
      "INSERT INTO call_analysis (call_id) VALUES ('updated')");  // a row without values is no analysis
  platform->Query(complete + "'after'");
  platform->Query(complete + "'updated'");
  EXPECT_EQ(platform->Value("SELECT count(*) FROM webhook_outbox WHERE awaits_analysis"), "2");
  platform->Query(Analysis("after"));
  platform->Query("UPDATE call_analysis SET summary = 'of updated' WHERE call_id = 'updated'");
  // Two concurrent transactions: neither sees the other's row, whichever commits first.
  for (const bool analysis_first : {true, false}) {
    const std::string call = analysis_first ? "beside-1" : "beside-2";
    pqxx::connection one(database_url_);
    pqxx::connection two(database_url_);
    pqxx::work completing(one);
    pqxx::work analysing(two);
    completing.exec(complete + "'" + call + "'");
    analysing.exec(Analysis(call));
    (analysis_first ? analysing : completing).commit();
    (analysis_first ? completing : analysing).commit();
  }
  ExpectTheOracleIsContent({}, {&service_});
  const auto bodies = Bodies(endpoint_);
  EXPECT_EQ(bodies.size(), 7U);
  for (const auto& [call, body] : bodies) EXPECT_EQ(body, Payload(call, R"("summary":"of )" + call + "\""));
}

TEST_F(WaitForAnalysis, SendsWithoutAnalysisWhenThereIsNoneInTime) {
  const auto platform = WithWait("2s");
  platform->Query("INSERT INTO calls (id, agent_id, status) VALUES ('never', 'agent', 'completed')");
  ExpectTheOracleIsContent({}, {&service_});
  EXPECT_EQ(Bodies(endpoint_)["never"], Payload("never"));
  EXPECT_EQ(
      platform_.Value("SELECT due_at - enqueued_at = '2 s' AND claimed_at >= due_at FROM webhook_deliveries"),
      "t");
}

}  // namespace
}  // namespace postcall::test
