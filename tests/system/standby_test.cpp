// Synchronous replication: a fail-over undoes a claim that no standby has, so its calls would be sent a
// second time.
#include "tests/support/pgbouncer.h"
#include "tests/support/private_standby.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class Standby : public ::testing::Test {
 protected:
  void SetUp() override {
    platform_.AddAgent("agent", endpoint_.Url("/hook"));
    // A role or database may have a setting that shows errors only.
    platform_.Query("ALTER DATABASE " + Database() + " SET client_min_messages = error");
  }

  std::string Database() { return platform_.Value("SELECT current_database()"); }

  ServiceOptions Run(const std::string& url) const {
    return {.arguments = {"--database-url", url, "--admin-listen", "127.0.0.1:0", "--egress-allow",
                          "127.0.0.0/8"}};
  }

  // Cancels commits of the dispatcher's sessions that wait for a standby, as long as `until` is false.
  // Returns how many.
  int CancelWaits(const std::function<bool()>& until) {
    int cancelled = 0;
    const SteadyTime limit = Steady::now() + 30s;
    while (!until() && Steady::now() < limit) {
      cancelled += static_cast<int>(platform_
                                        .Query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                                               " WHERE wait_event = 'SyncRep' AND application_name LIKE "
                                               "'postcall-dispatcher%'")
                                        .size());
    }
    return cancelled;
  }

  void ExpectNothingIsSentBeforeTheStandbyIsBack(const std::string& url) {
    const Service service(Run(url));
    ASSERT_TRUE(service.WaitUntilReady());
    platform_.CompleteCalls("agent", "before-", 1);
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(1));

    standby_.Stop();
    platform_.CompleteCalls("agent", "meanwhile-", 3);
    EXPECT_GE(CancelWaits([&] { return service.Get("/readyz").status == 503; }), 1);
    EXPECT_THAT(service.log(), HasSubstr("a claim's commit is in doubt"));
    EXPECT_THAT(service.Get("/readyz").body, HasSubstr("no synchronous standby acknowledges commits"));
    int again = 0;
    CancelWaits([&] { return ++again > 50; });
    EXPECT_NE(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'in_flight'"), "0")
        << "the claim is committed and visible to all";
    EXPECT_EQ(endpoint_.ledger().RequestCount(), 1u);

    standby_.Start();
    EXPECT_TRUE(endpoint_.ledger().WaitForRequests(4));
    EXPECT_TRUE(service.WaitUntilReady());
    ExpectEachCallWasSentOnce(service);
  }

  void ExpectEachCallWasSentOnce(const Service& service) const {
    const Oracle oracle(database_url_, {&endpoint_.ledger()});
    EXPECT_TRUE(oracle.WaitUntilSettled());
    EXPECT_THAT(oracle.Violations({}, {&service}), ::testing::IsEmpty());
  }

  PrivatePostgres primary_;
  const std::string database_url_ = primary_.CreateMigratedDatabase();
  PrivateStandby standby_{primary_};
  // This test is not about the platform's own commits, so they wait for no standby.
  Platform platform_{database_url_ + "&options=-csynchronous_commit%3Dlocal"};
  HostileEndpoint endpoint_;
};

TEST_F(Standby, ThatIsAwayKeepsAClaimWhoseWaitWasCancelledFromBeingSent) {
  ExpectNothingIsSentBeforeTheStandbyIsBack(database_url_);
}

TEST_F(Standby, ThatIsAwayKeepsAClaimFromBeingSentBehindPgBouncerToo) {
  const PgBouncer pgbouncer(primary_, 5);
  ExpectNothingIsSentBeforeTheStandbyIsBack(pgbouncer.Url(Database()));
}

// The dispatcher does not wait that long for an answer, and looks up the commit instead.
TEST_F(Standby, ThatIsAwayForLongKeepsClaimsFromBeingSent) {
  const Service service(Run(database_url_));
  ASSERT_TRUE(service.WaitUntilReady());
  standby_.Stop();
  platform_.CompleteCalls("agent", "meanwhile-", 3);
  ASSERT_TRUE(service.WaitForLog("a claim's commit is not decided yet", 30s));
  EXPECT_EQ(service.Get("/readyz").status, 503);
  EXPECT_EQ(service.Get("/healthz").status, 200);
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0u);
  // The server's session still waits, although the dispatcher has left it. When that wait is cancelled too,
  // no standby has the claim.
  EXPECT_GE(
      CancelWaits([&] { return service.Get("/readyz").body.find("no synchronous") != std::string::npos; }),
      1);
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0u);
  standby_.Start();
  ExpectEachCallWasSentOnce(service);
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 3u);
}

}  // namespace
}  // namespace postcall::test
