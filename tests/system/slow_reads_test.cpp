// A platform's own view takes seconds for the calls of one agent, or raises an error for them. Calls of other
// agents do not wait for that.
#include <csignal>
#include <pqxx/pqxx>
#include <thread>

#include "tests/support/private_postgres.h"
#include "tests/support/tcp_proxy.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

constexpr int kAgents = 10;

class SlowReads : public SystemTest {
 protected:
  SlowReads() {
    for (int agent = 1; agent <= kAgents; ++agent)
      platform_.AddAgent("quick-" + std::to_string(agent), endpoint_.Url("/quick"));
    platform_.AddAgent("slow", endpoint_.Url("/slow"));
  }

  // Makes `expression` the view's column "name". It may use call_id and agent_id.
  void ReadName(const std::string& expression) {
    platform_.Query(
        "CREATE FUNCTION slowly(seconds float) RETURNS text LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(seconds); RETURN 'slow'; END $$");
    platform_.Query("ALTER VIEW webhook_source RENAME TO whole_source");
    const std::string columns =
        platform_.Value("SELECT string_agg(CASE attname WHEN 'name' THEN $q$" + expression +
                        " AS name$q$ ELSE attname::text END, ', ' ORDER BY attnum)"
                        " FROM pg_attribute WHERE attrelid = 'whole_source'::regclass AND attnum > 0");
    platform_.Query("CREATE VIEW webhook_source AS SELECT " + columns + " FROM whole_source");
  }

  // Completes a call of each quick agent ten times per second. Returns the 99th percentile from due to the
  // end, in ms.
  double QuickP99(std::chrono::seconds length) {
    const SteadyTime start = Steady::now();
    const int ticks = static_cast<int>(length / 100ms);
    for (int tick = 0; tick < ticks; ++tick) {
      std::this_thread::sleep_until(start + tick * 100ms);  // the clock sets the rate
      platform_.CompleteCallsOfAgents("quick-", kAgents, "quick-" + std::to_string(tick) + "-", kAgents);
    }
    EXPECT_TRUE(platform_.WaitForValue(
        "SELECT count(*) FROM webhook_deliveries WHERE agent_id <> 'slow' AND outcome = 'delivered'",
        std::to_string(ticks * kAgents)));
    return std::stod(platform_.Value(
        "SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY 1000 * extract(epoch FROM finished_at - due_at))"
        " FROM webhook_deliveries WHERE agent_id <> 'slow'"));
  }
};

TEST_F(SlowReads, OfOneAgentDelayNoOther) {
  ReadName("CASE agent_id WHEN 'slow' THEN slowly(15) ELSE name END");
  Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.CompleteCalls("slow", "slow-", 20);
  EXPECT_LT(QuickP99(15s), 1000) << service.log();
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_outbox WHERE agent_id = 'slow'"), "20");
  EXPECT_EQ(platform_.Value("SELECT max(unread) FROM webhook_outbox"), "1")
      << "its calls are tried one after the other";
  EXPECT_EQ(service.Get("/healthz").status, 200);
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(5s), 0) << "a stop ends a running read";
}

// Its POST would be cut off before it has had its 10 s.
TEST_F(SlowReads, OfAClaimThatAStopInterruptsLeaveItsCallsInTheOutbox) {
  ReadName("CASE agent_id WHEN 'slow' THEN slowly(1.5) ELSE name END");
  Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.CompleteCalls("slow", "slow-", 1);
  // No read of a claim of all agents takes this long. The rest of it is shorter than a stop allows.
  ASSERT_TRUE(platform_.WaitForValue(
      "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND clock_timestamp() - query_start"
      " BETWEEN interval '0.9 seconds' AND interval '1.3 seconds'",
      "1"));
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(5s), 0) << service.log();
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_outbox"), "1");
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries"), "0");
  const Service next(Run());
  ExpectTheOracleIsContent();
}

// While nothing is in flight, a stop waits for no slot, and the claim has none yet.
TEST_F(SlowReads, OfSettingsThatAStopInterruptsLeaveTheirCallsInTheOutbox) {
  platform_.Query(
      "CREATE FUNCTION slowly(seconds float) RETURNS text LANGUAGE plpgsql AS"
      " $$ BEGIN PERFORM pg_sleep(seconds); RETURN ''; END $$");
  platform_.Query("ALTER VIEW webhook_agents RENAME TO whole_agents");
  platform_.Query("CREATE VIEW webhook_agents AS SELECT * FROM whole_agents WHERE slowly(0.3) = ''");
  endpoint_.Otherwise(Wait(500ms) + Respond(200));
  Service service(Run({"--timeout-ms", "1000"}));
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.CompleteCalls("slow", "slow-", 1);
  ASSERT_TRUE(platform_.WaitForValue(
      "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
      "1"));
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(5s), 0) << service.log();
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_outbox"), "1");
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0u);
}

TEST_F(SlowReads, OfAClaimInDoubtAreReportedAndSentOnceItIsKnown) {
  ReadName("CASE agent_id WHEN 'slow' THEN slowly(0.6) ELSE name END");
  TcpProxy proxy(SharedPostgres().port());
  const Service service(Run({"--database-url", Through(proxy, database_url_)}));
  ASSERT_TRUE(service.WaitUntilReady());
  proxy.FailNextCommit(CommitFault::kHold, "INSERT INTO webhook_deliveries");
  platform_.CompleteCalls("slow", "slow-", 1);
  ASSERT_TRUE(service.WaitForLog("it is not known yet whether a claim was committed, asking again"))
      << service.log();
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0u);
  proxy.ReleaseHeld();
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(platform_.Outcomes()["delivered"], 1);
}

// A lock on one of the platform's tables makes all reads wait, so no agent counts as slow.
TEST_F(SlowReads, DoNotIncludeThoseThatWaitForALock) {
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  {
    pqxx::connection other(database_url_);
    pqxx::work lock(other);
    lock.exec("LOCK TABLE caller_details IN ACCESS EXCLUSIVE MODE");
    platform_.Query(
        "INSERT INTO calls (id, agent_id, status) SELECT 'locked-' || n, 'quick-' || n, 'completed'"
        " FROM generate_series(1, 10) AS n");
    ASSERT_TRUE(service.WaitForLog("a database operation failed")) << service.log();
  }
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(service.log().find("read apart"), std::string::npos) << service.log();
}

// These reads are slow, but within the limit.
TEST_F(SlowReads, ThatEndInTimeAreDelivered) {
  ReadName("CASE agent_id WHEN 'slow' THEN slowly(2) ELSE name END");
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.CompleteCalls("slow", "slow-", 5);
  EXPECT_LT(QuickP99(10s), 1000) << service.log();
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE agent_id = 'slow'"), "5");
}

TEST_F(SlowReads, ThatFailDelayNoOther) {
  ReadName("CASE agent_id WHEN 'slow' THEN (1 / length(left(call_id, 0)))::text ELSE name END");
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.CompleteCalls("slow", "slow-", 100);
  EXPECT_LT(QuickP99(5s), 1000) << service.log();
  EXPECT_TRUE(platform_.WaitForValue("SELECT min(unread) FROM webhook_outbox WHERE agent_id = 'slow'", "1"))
      << "each was tried";
  platform_.Query("DROP VIEW webhook_source; ALTER VIEW whole_source RENAME TO webhook_source");
  platform_.Query("UPDATE webhook_outbox SET due_at = now()");  // as if that time had passed
  ExpectTheOracleIsContent({}, {&service});
}

}  // namespace
}  // namespace postcall::test
