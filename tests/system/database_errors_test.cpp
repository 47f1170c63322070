// Each failure of a database operation is counted once, under its operation: postcall_database_errors_total.
#include <sys/resource.h>

#include <csignal>
#include <thread>

#include "tests/system/metric_values.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using Errors = std::map<std::string, double>;

class DatabaseErrors : public MetricValues {
 protected:
  DatabaseErrors() {
    platform_.AddAgent("agent", endpoint_.Url());
    platform_.Query("CREATE SEQUENCE tries");  // it counts what is rolled back, too
    platform_.Query(R"(CREATE FUNCTION fail_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                         IF nextval('tries') <= TG_ARGV[0]::int THEN
                           RAISE EXCEPTION 'made by the test' USING ERRCODE = 'serialization_failure';
                         END IF;
                         RETURN coalesce(NEW, OLD);
                       END $$)");
  }

  // The first `count` statements of that kind fail, such as "UPDATE ON webhook_deliveries".
  void FailFirst(int count, const std::string& statement) {
    Platform(database_url_)
        .Query("CREATE TRIGGER fail_first BEFORE " + statement +
               " FOR EACH ROW EXECUTE FUNCTION fail_first(" + std::to_string(count) + ")");
  }

  // Waits until the failures have happened. All other operations have none.
  static void ExpectErrors(const Service& service, const Errors& expected) {
    for (const std::string operation :
         {"claim", "record", "requeue", "confirm", "resolve", "heartbeat", "sweep", "partitions", "sample"}) {
      const auto found = expected.find(operation);
      const double count = found == expected.end() ? 0 : found->second;
      EXPECT_EQ(Metric(service, "postcall_database_errors_total{operation=\"" + operation + "\"}"), count)
          << operation;
    }
  }

  const std::string kClaim = "INSERT INTO webhook_deliveries";
};

TEST_F(DatabaseErrors, CountEachClaimThatFailed) {
  FailFirst(2, "DELETE ON webhook_outbox");
  platform_.CompleteCalls("agent", "call-", 1);
  const Service service(Run());
  ASSERT_NO_FATAL_FAILURE(WaitUntilCounted(service));
  ExpectErrors(service, {{"claim", 2}});
}

TEST_F(DatabaseErrors, CountEachRecordThatFailed) {
  FailFirst(3, "UPDATE ON webhook_deliveries");
  platform_.CompleteCalls("agent", "call-", 1);
  const Service service(Run());
  ASSERT_NO_FATAL_FAILURE(WaitUntilCounted(service));
  ExpectErrors(service, {{"record", 3}});
  EXPECT_EQ(Metric(service, "postcall_record_batch_size_sum"), 1) << "what failed is no batch";
}

TEST_F(DatabaseErrors, CountEachRequeueThatFailed) {
  FailFirst(2, "DELETE ON webhook_deliveries");
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.CompleteCalls("agent", "before-", 1);
  // The connections for outcomes and for housekeeping are there.
  ASSERT_NO_FATAL_FAILURE(WaitUntilCounted(service));
  ASSERT_TRUE(service.WaitForMetric("postcall_partitions_ahead_days", 7));
  endpoint_.CloseConnections();
  service.Limit(RLIMIT_NOFILE, 3);  // no other descriptor can be opened
  platform_.CompleteCalls("agent", "call-", 1);
  ASSERT_TRUE(service.WaitForLog("requeueing a delivery")) << service.log();
  ASSERT_TRUE(platform_.WaitForValue("SELECT last_value >= 3 FROM tries", "t"));
  service.Limit(RLIMIT_NOFILE, 1024);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  ExpectErrors(service, {{"requeue", 2}});
}

TEST_F(DatabaseErrors, CountEachHeartbeatThatFailed) {
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  FailFirst(2, "UPDATE ON webhook_dispatchers");
  ASSERT_TRUE(platform_.WaitForValue("SELECT last_value >= 3 FROM tries", "t"));
  ExpectErrors(service, {{"heartbeat", 2}});
}

TEST_F(DatabaseErrors, CountEachConfirmationThatFailed) {
  TcpProxy proxy(SharedPostgres().port());
  const Service service(Run({"--database-url", Through(proxy, database_url_)}));
  ASSERT_TRUE(service.WaitUntilReady());
  proxy.FailNextCommit(CommitFault::kPass, kClaim, [&] {
    service.Freeze();
    FailFirst(1, "UPDATE ON webhook_dispatchers");
  });
  platform_.CompleteCalls("agent", "call-", 1);
  ASSERT_TRUE(proxy.WaitForFaults(1));
  std::this_thread::sleep_for(1500ms);  // after this time a delivery is confirmed before it is sent
  service.Signal(SIGCONT);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 1}}));
  ExpectErrors(service, {{"confirm", 1}});
}

TEST_F(DatabaseErrors, CountAClaimInDoubtAndEachTryToResolveItThatFailed) {
  TcpProxy proxy(SharedPostgres().port());
  const Service service(Run({"--database-url", Through(proxy, database_url_)}));
  ASSERT_TRUE(service.WaitUntilReady());
  proxy.FailNextCommit(CommitFault::kCutBeforeAnswer, kClaim,
                       [&] { FailFirst(2, "UPDATE ON webhook_dispatchers"); });
  platform_.CompleteCalls("agent", "call-", 1);
  ASSERT_TRUE(proxy.WaitForFaults(1));
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 1}}));
  ExpectErrors(service, {{"claim", 1}, {"resolve", 2}});
}

}  // namespace
}  // namespace postcall::test
