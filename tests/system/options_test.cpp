// That an option reaches what it is about. What each takes, and from where, is in tests/unit/cli; those that
// other tests could not do without (--egress-allow, --ca-file, --max-in-flight and the like) are not here.
#include <filesystem>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class Options : public SystemTest {
 protected:
  // One call to that path, by a service with these options, until it is over.
  void Deliver(const std::vector<std::string>& options, const std::string& path = "/hook") {
    platform_.AddAgent("agent", endpoint_.Url(path));
    platform_.CompleteCalls("agent", "call-", 1);
    const Service service(Run(options));
    ASSERT_TRUE(platform_.WaitUntilSettled()) << service.log();
  }
  std::string Delivery(const std::string& column) {
    return platform_.Value("SELECT " + column + " FROM webhook_deliveries");
  }
};

TEST_F(Options, EgressDenyBeatsWhatIsAllowed) {
  Deliver({"--egress-deny", "127.0.0.0/16"});
  EXPECT_EQ(Delivery("outcome"), "blocked");
  EXPECT_EQ(endpoint_.ledger().ConnectionCount(), 0U);
}

TEST_F(Options, ResponseBodyBytesOfNoneKeepNothing) {
  endpoint_.Otherwise(Respond(500, "what the customer said"));
  Deliver({"--response-body-bytes", "0"});
  EXPECT_EQ(Delivery("outcome"), "rejected");
  EXPECT_EQ(Delivery("response_body IS NULL"), "t") << Delivery("response_body");
  EXPECT_EQ(Delivery("response_bytes"), "22") << "read all the same";
}

TEST_F(Options, TimeoutMsIsTheLimitOfADelivery) {
  endpoint_.Otherwise(Hang());
  Deliver({"--timeout-ms", "500"});
  EXPECT_EQ(Delivery("outcome"), "timeout");
  EXPECT_EQ(Delivery("total_ms BETWEEN 500 AND 750"), "t") << Delivery("total_ms");
}

TEST_F(Options, NetworkThreadsAreSoMany) {
  const auto threads_of = [](const Service& service) {
    const std::filesystem::directory_iterator tasks("/proc/" + std::to_string(service.pid()) + "/task");
    return std::distance(begin(tasks), end(tasks));
  };
  const Service one(Run());
  const Service two(Run({"--network-threads", "2"}));
  ASSERT_TRUE(one.WaitUntilReady());
  ASSERT_TRUE(two.WaitUntilReady());
  EXPECT_EQ(threads_of(two), threads_of(one) + 1);
}

TEST_F(Options, MaxBodyMemoryIsHeldAtOnceAndTheOthersWait) {
  endpoint_.Otherwise(Wait(500ms) + Respond(200));
  platform_.AddAgent("agent", endpoint_.Url("/hook"));
  platform_.Query(
      "INSERT INTO calls (id, agent_id, status) SELECT 'call-' || n, 'agent', 'in_progress'"
      " FROM generate_series(1, 3) AS n");
  platform_.Query(
      "INSERT INTO call_analysis (call_id, summary) SELECT id, repeat('x', 600 * 1000) FROM calls");
  platform_.Query("UPDATE calls SET status = 'completed'");
  const Service service(Run({"--max-body-memory", "1MiB"}));
  ASSERT_TRUE(platform_.WaitUntilSettled());
  const std::vector<RequestEntry> requests = endpoint_.ledger().Requests();
  ASSERT_EQ(requests.size(), 3U);
  for (std::size_t later = 1; later < requests.size(); ++later) {
    EXPECT_GE(requests[later].head_at, requests[later - 1].head_at + 500ms);
  }
}

TEST_F(Options, RetentionDaysAreKept) {
  const auto partition = [](int days_ago) {
    return "(SELECT name FROM webhook_partitions WHERE day = (now() AT TIME ZONE 'UTC')::date - " +
           std::to_string(days_ago) + ")";
  };
  for (const int days_ago : {3, 6}) {
    platform_.Query(R"(DO $$ DECLARE day date := (now() AT TIME ZONE 'UTC')::date - )" +
                    std::to_string(days_ago) + R"(;
        BEGIN EXECUTE format('CREATE TABLE %I PARTITION OF webhook_deliveries FOR VALUES FROM (%L) TO (%L)',
                             'webhook_deliveries_' || to_char(day, 'YYYYMMDD'), day || ' 00:00:00+00',
                             day + 1 || ' 00:00:00+00');
        END $$)");
    ASSERT_EQ(platform_.Value("SELECT " + partition(days_ago) + " IS NOT NULL"), "t");
  }
  const Service service(Run({"--retention-days", "5"}));
  EXPECT_TRUE(platform_.WaitForValue("SELECT " + partition(6) + " IS NULL", "t")) << service.log();
  EXPECT_EQ(platform_.Value("SELECT " + partition(3) + " IS NOT NULL"), "t");
}

}  // namespace
}  // namespace postcall::test
