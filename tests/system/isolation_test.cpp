// One customer's trouble affects no other customer, and the limits are kept.
#include <thread>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class Isolation : public SystemTest {};

TEST_F(Isolation, OneHangingEndpointAmongTwoHundredDelaysNoOther) {
  constexpr int kAgents = 200;
  constexpr int kSeconds = 15;
  constexpr int kPerSecond = 500;
  HostileEndpoint hanging;
  hanging.Otherwise(Hang());
  platform_.AddAgent("agent-1", hanging.Url("/hook"));
  for (int agent = 2; agent <= kAgents; ++agent) {
    platform_.AddAgent("agent-" + std::to_string(agent), endpoint_.Url("/hook"));
  }
  Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  // The clock sets the rate: 50 calls are completed every 100 ms.
  const SteadyTime start = Steady::now();
  for (int tick = 0; tick < kSeconds * 10; ++tick) {
    std::this_thread::sleep_until(start + tick * 100ms);
    platform_.CompleteCallsOfAgents("agent-", kAgents, "call-" + std::to_string(tick) + "-", kPerSecond / 10);
  }
  ASSERT_TRUE(platform_.WaitUntilSettled(40s));

  EXPECT_EQ(platform_.Value("SELECT DISTINCT outcome FROM webhook_deliveries WHERE agent_id = 'agent-1'"),
            "timeout");
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE agent_id = 'agent-1'"
                            " AND total_ms NOT BETWEEN 10000 AND 10250"),
            "0");
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE agent_id <> 'agent-1'"
                            " AND outcome <> 'delivered'"),
            "0");
  // The start of the POST is its end minus its duration.
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE agent_id <> 'agent-1'"
                            " AND finished_at - total_ms * interval '1 ms' - due_at > interval '2 s'"),
            "0");
  EXPECT_EQ(platform_.Value("SELECT unaccounted FROM webhook_reconciliation"), "0");
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries"),
            std::to_string(kSeconds * kPerSecond));
}

// A call of each agent is claimed once without success before the dispatcher knows that the endpoint is full.
TEST_F(Isolation, TenThousandAgentsOfOneFullEndpointDelayNoOther) {
  HostileEndpoint full;
  full.Otherwise(Wait(9s) + Respond(200));
  platform_.Query(
      "INSERT INTO agents (id, name, settings) SELECT 'agent-' || n, '', jsonb_build_object('webhooks',"
      " jsonb_build_object('postCall', '" +
      full.Url("/hook") + "')) FROM generate_series(1, 10000) AS n");
  platform_.AddAgent("healthy", endpoint_.Url("/hook"));  // in the order of claiming it is the last
  platform_.CompleteCallsOfAgents("agent-", 10'000, "call-", 10'000);
  platform_.CompleteCalls("healthy", "healthy-", 1);
  const Service service(Run());
  ASSERT_TRUE(full.ledger().WaitForRequests(1));
  const SteadyTime start = Steady::now();
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(1));
  EXPECT_LT(Steady::now() - start, 5s) << "in steps of 32 agents with a pause after each, it would take ten";
}

TEST_F(Isolation, NeverMoreInFlightThanTheLimitsOfInstanceAgentAndEndpoint) {
  HostileEndpoint other;
  for (HostileEndpoint* endpoint : {&endpoint_, &other}) endpoint->Otherwise(Hang());
  for (int agent = 1; agent <= 10; ++agent) {
    platform_.AddAgent("agent-" + std::to_string(agent), (agent % 2 == 0 ? endpoint_ : other).Url("/hook"));
  }
  platform_.CompleteCallsOfAgents("agent-", 10, "call-", 1000);
  Service service(Run({"--max-in-flight", "25", "--max-in-flight-per-agent", "4",
                       "--max-in-flight-per-endpoint", "15", "--slow-share", "1"}));
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(10));
  ASSERT_TRUE(
      platform_.WaitForValue("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'in_flight'", "25"));
  EXPECT_EQ(platform_.Value("SELECT max(n) <= 4 FROM (SELECT count(*) AS n FROM webhook_deliveries"
                            " WHERE outcome = 'in_flight' GROUP BY agent_id) AS per_agent"),
            "t");
  EXPECT_LE(endpoint_.ledger().RequestCount(), 15U);
  EXPECT_LE(other.ledger().RequestCount(), 15U);
  EXPECT_EQ(service.Metric("postcall_in_flight"), 25.0);
  EXPECT_EQ(service.Metric("postcall_in_flight_limit"), 25.0);
}

TEST_F(Isolation, SlowAgentsUseOnlyTheirShare) {
  endpoint_.On("/hang", Hang());
  endpoint_.On("/ok", Respond(200));
  for (int agent = 1; agent <= 40; ++agent) {
    platform_.AddAgent("slow-" + std::to_string(agent), endpoint_.Url("/hang"));
  }
  platform_.AddAgent("fast-1", endpoint_.Url("/ok"));
  Service service(Run({"--max-in-flight", "40", "--slow-share", "0.25"}));
  // An agent counts as slow after a second in flight. So the first wave has all slots, and after it the slow
  // agents have only a share of them.
  platform_.CompleteCallsOfAgents("slow-", 40, "slow-", 400);
  ASSERT_TRUE(
      platform_.WaitForValue("SELECT count(*) >= 40 FROM webhook_deliveries WHERE outcome = 'timeout'", "t"));
  platform_.CompleteCallsOfAgents("fast-", 1, "fast-", 200);
  EXPECT_TRUE(platform_.WaitForValue("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'delivered'",
                                     "200", 5s));
  EXPECT_LE(*service.Metric("postcall_slow_in_flight"), 10.0);
}

}  // namespace
}  // namespace postcall::test
