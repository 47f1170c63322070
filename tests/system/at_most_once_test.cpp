// No call is sent twice and none is lost, whatever ends the process: these tests compare the requests that
// the endpoint saw with the log.
#include <csignal>

#include "tests/support/pgbouncer.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class AtMostOnce : public SystemTest {};

// libcurl by itself would send the second request again on a new connection (FIELD_NOTES: "It sends a POST
// twice").
TEST_F(AtMostOnce, AConnectionClosedAfterTheWholeRequestWasReadIsNoReasonToSendAgain) {
  endpoint_.Otherwise(
      [](const RequestEntry& request) { return request.on_connection == 0 ? Respond(200) : Close(); });
  platform_.AddAgent("agent", endpoint_.Url("/hook"));
  // One call at a time, so that the second call uses the connection of the first.
  Service service(Run({"--max-in-flight-per-agent", "1"}));
  platform_.CompleteCalls("agent", "call-", 20);
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 10}, {"network_error", 10}}));
  EXPECT_EQ(platform_.Value("SELECT DISTINCT reached || ' ' || connection_reused FROM webhook_deliveries"
                            " WHERE outcome = 'network_error'"),
            "request_sent true");
  EXPECT_EQ(service.Metric("postcall_resend_guard_total"), 10.0);
}

TEST_F(AtMostOnce, KilledWithFiveHundredInFlightEveryCallIsAccountedForAfterTheNextStart) {
  // The first requests hang until the process is killed; every later request is answered.
  std::atomic<bool> hang = true;
  endpoint_.Otherwise([&](const RequestEntry&) { return hang ? Hang() : Respond(200); });
  for (int agent = 1; agent <= 20; ++agent) {
    platform_.AddAgent("agent-" + std::to_string(agent), endpoint_.Url("/hook"));
  }
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 3000);
  const std::vector<std::string> limits = {"--max-in-flight", "500", "--max-in-flight-per-endpoint", "500",
                                           "--slow-share",    "1"};
  {
    Service killed(Run(limits));
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(500));
    killed.Signal(SIGKILL);
    ASSERT_EQ(killed.Wait(5s), 128 + SIGKILL);
  }
  hang = false;
  Service next(Run(limits));
  ExpectTheOracleIsContent({.killed = true});
  const auto outcomes = platform_.Outcomes();
  EXPECT_LE(outcomes.at("unknown"), 500);
  EXPECT_EQ(outcomes.at("unknown") + outcomes.at("delivered"), 3000);
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 3000U)
      << "calls that were not sent before the kill are sent after it";
}

TEST_F(AtMostOnce, ThreeDispatchersShareTheWork) {
  for (int agent = 1; agent <= 20; ++agent) {
    platform_.AddAgent("agent-" + std::to_string(agent), endpoint_.Url("/hook"));
  }
  Service first(Run());
  Service second(Run());
  Service third(Run());
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 3000);
  ExpectTheOracleIsContent({}, {&first, &second, &third});
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 3000}}));
}

TEST_F(AtMostOnce, TwoDispatchersWorkThroughPgBouncerInTransactionMode) {
  const PgBouncer pgbouncer(SharedPostgres(), 3);
  const std::string url = pgbouncer.Url(platform_.Value("SELECT current_database()"));
  for (int agent = 1; agent <= 20; ++agent) {
    platform_.AddAgent("agent-" + std::to_string(agent), endpoint_.Url("/ok"));
  }
  const Service first(Run({"--database-url", url}));
  const Service second(Run({"--database-url", url}));
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 1000);
  ExpectTheOracleIsContent({}, {&first, &second});
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 1000}}));
  for (const Service* service : {&first, &second}) {
    EXPECT_EQ(service->log().find("error"), std::string::npos) << service->log();
  }
}

TEST_F(AtMostOnce, SigtermFinishesAndRecordsDeliveriesInFlightAndStartsNoOther) {
  endpoint_.On("/slow", Wait(2s) + Respond(200));
  platform_.AddAgent("agent", endpoint_.Url("/slow"));
  platform_.CompleteCalls("agent", "call-", 30);
  Service service(Run({"--max-in-flight-per-agent", "10"}));
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(10));
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(11s), 0) << service.log();
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 10}}));
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_outbox"), "20");
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_dispatchers"), "0")
      << "a clean exit removes its row";
  const Service next(Run());
  ExpectTheOracleIsContent();
}

}  // namespace
}  // namespace postcall::test
