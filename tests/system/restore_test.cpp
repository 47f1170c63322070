// A database has lost commits. The steps for the operator in deploy/OPERATIONS.md keep the promise of at most
// once.
#include <csignal>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class Restored : public SystemTest {
 protected:
  void ExpectNoCallTwice() {
    for (const auto& [call, requests] : endpoint_.ledger().RequestsPerCall()) EXPECT_EQ(requests, 1U) << call;
  }
  ServiceOptions RunOn(const std::string& url) const { return Run({"--database-url", url}); }
};

TEST_F(Restored, CallsMarkedSuspectAreNeverSentAgainAndLaterCallsAreSent) {
  std::atomic<bool> hang = true;
  endpoint_.Otherwise([&](const RequestEntry& request) {
    return hang && request.call_id.starts_with("flying-") ? Hang() : Respond(200);
  });
  const std::string original = SharedPostgres().CreateMigratedDatabase();
  std::string name;
  {
    Platform platform(original);
    name = platform.Value("SELECT current_database()");
    platform.AddAgent("agent", endpoint_.Url("/hook"));
    platform.CompleteCalls("agent", "done-", 5);
    {
      Service service(RunOn(original));
      ASSERT_TRUE(platform.WaitUntilSettled());
      platform.CompleteCalls("agent", "flying-", 5);
      ASSERT_TRUE(endpoint_.ledger().WaitForRequests(10));
      service.Signal(SIGKILL);
      ASSERT_EQ(service.Wait(5s), 128 + SIGKILL);
    }
    platform.CompleteCalls("agent", "waiting-", 20);
  }
  const std::string backup = SharedPostgres().CopyDatabase(name);

  // The restore will lose this time, in which all waiting calls are sent.
  hang = false;
  {
    Platform platform(original);
    Service service(RunOn(original));
    ASSERT_TRUE(
        platform.WaitForValue("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'delivered'", "25"));
    service.Signal(SIGTERM);
    ASSERT_EQ(service.Wait(20s), 0);
  }
  ASSERT_EQ(endpoint_.ledger().RequestCount(), 30U);

  // The killed dispatcher counts as alive for a while, and the platform continues.
  Platform platform(backup);
  const std::string moment = platform.Value("SELECT clock_timestamp()::text");
  platform.CompleteCalls("agent", "later-", 3);
  ASSERT_TRUE(
      platform.WaitForValue("SELECT count(*) FROM webhook_dispatchers WHERE heartbeat_at > clock_timestamp() "
                            "- interval '30 seconds'",
                            "0", 60s));
  EXPECT_EQ(platform.Value("SELECT webhook_mark_suspect('" + moment + "')"), "25")
      << "20 calls waited and 5 were in flight";
  Service service(RunOn(backup));
  ASSERT_TRUE(platform.WaitUntilSettled(60s)) << service.log();
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(33));
  service.Signal(SIGTERM);
  ASSERT_EQ(service.Wait(20s), 0);

  ExpectNoCallTwice();
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 33U);
  EXPECT_EQ(platform.Outcomes(), (std::map<std::string, int>{{"delivered", 8}, {"unknown", 25}}));
  EXPECT_EQ(platform.Value("SELECT unaccounted FROM webhook_reconciliation"), "0");
}

}  // namespace
}  // namespace postcall::test
