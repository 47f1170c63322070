// How the service stops: what it finishes, what it puts back, what it prints, and how long that takes.
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

using Counts = std::map<std::string, int>;

class Stop : public SystemTest {
 protected:
  // Counts outcomes that could not be recorded and were printed in the log instead.
  static int Printed(const std::string& log, const std::string& outcome) {
    int printed = 0;
    std::istringstream lines(log);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("{") && nlohmann::json::parse(line).at("outcome") == outcome) ++printed;
    }
    return printed;
  }
};

TEST_F(Stop, WithoutADatabasePrintsEachOutcomeAndFails) {
  PrivatePostgres postgres;
  const std::string url = postgres.CreateMigratedDatabase();
  endpoint_.On("/slow", Wait(1s) + Respond(200));
  Service service(Run({"--database-url", url}));
  {
    Platform platform(url);
    platform.AddAgent("agent", endpoint_.Url("/slow"));
    platform.CompleteCalls("agent", "call-", 5);
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(5));
  }
  postgres.Stop(PrivatePostgres::StopMode::kImmediate);
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(12s), 1);
  EXPECT_EQ(Printed(service.log(), "delivered"), 5) << service.log();
}

// The same with a server that accepts bytes and never answers, so that a client would wait for it.
TEST_F(Stop, WithADatabaseThatHangsPrintsEachOutcomeInTime) {
  PrivatePostgres postgres;
  const std::string url = postgres.CreateMigratedDatabase();
  TcpProxy proxy(postgres.port());
  endpoint_.On("/slow", Wait(9s) + Respond(200));
  Service service(Run({"--database-url", Through(proxy, url)}));
  Platform platform(url);
  platform.AddAgent("agent", endpoint_.Url("/slow"));
  platform.CompleteCalls("agent", "call-", 5);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(5));
  proxy.Stall(true);
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(11500ms), 1) << service.log();
  EXPECT_EQ(Printed(service.log(), "delivered"), 5) << service.log();
}

// It tries to connect again and again, and may be in the middle of that when the last delivery ends.
TEST_F(Stop, WhileItConnectsAgainPrintsEachOutcomeInTime) {
  const std::string url = SharedPostgres().CreateMigratedDatabase();
  TcpProxy proxy(SharedPostgres().port());
  endpoint_.On("/slow", Wait(9s) + Respond(200));
  Platform platform(url);
  Service service(Run({"--database-url", "host=127.0.0.1,127.0.0.1,127.0.0.1 user=postgres port=" +
                                             std::to_string(proxy.port()) +
                                             " dbname=" + platform.Value("SELECT current_database()")}));
  platform.AddAgent("agent", endpoint_.Url("/slow"));
  platform.CompleteCalls("agent", "call-", 5);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(5));
  proxy.Stall(true);
  proxy.CutAll();
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(11500ms), 1) << service.log();
  EXPECT_EQ(Printed(service.log(), "delivered"), 5) << service.log();
}

// A fail-over in which no host answers, with a long limit that an administrator has set.
TEST_F(Stop, WhileItConnectsToHostsThatHangEndsInTime) {
  TcpProxy proxy(SharedPostgres().port());
  proxy.Stall(true);
  ServiceOptions options = Run({"--database-url", "host=127.0.0.1,127.0.0.1,127.0.0.1 user=postgres port=" +
                                                      std::to_string(proxy.port())});
  options.environment = {{"PGCONNECT_TIMEOUT", "60"}};
  Service service(std::move(options));
  ASSERT_TRUE(service.WaitForLog("started"));
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(11s), 0) << service.log();
}

// No call of such a claim was sent, and the dispatcher can no longer find out whether the claim was
// committed.
TEST_F(Stop, WithAClaimInDoubtSaysThatNothingWasSent) {
  PrivatePostgres postgres;
  const std::string url = postgres.CreateMigratedDatabase();
  TcpProxy proxy(postgres.port());
  Service service(Run({"--database-url", Through(proxy, url)}));
  ASSERT_TRUE(service.WaitUntilReady());
  Platform platform(url);
  platform.AddAgent("agent", endpoint_.Url("/ok"));
  proxy.FailNextCommit(CommitFault::kCutBeforeAnswer, "INSERT INTO webhook_deliveries",
                       [&] { postgres.Stop(PrivatePostgres::StopMode::kImmediate); });
  platform.CompleteCalls("agent", "call-", 1);
  ASSERT_TRUE(service.WaitForLog("commit is in doubt"));
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(12s), 1) << service.log();
  EXPECT_EQ(Printed(service.log(), "not_sent"), 1) << service.log();
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0U);
}

// Its POST would be cut off before it has had its 10 s, and another dispatcher can send it.
TEST_F(Stop, WithAClaimInDoubtPutsBackTheCallsOfAClaimThatWasCommitted) {
  TcpProxy proxy(SharedPostgres().port());
  platform_.AddAgent("agent", endpoint_.Url("/ok"));
  Service service(Run({"--database-url", Through(proxy, database_url_)}));
  ASSERT_TRUE(service.WaitUntilReady());
  proxy.FailNextCommit(CommitFault::kHold, "INSERT INTO webhook_deliveries");
  platform_.CompleteCalls("agent", "call-", 3);
  ASSERT_TRUE(service.WaitForLog("commit is in doubt"));
  service.Signal(SIGTERM);
  ASSERT_TRUE(service.WaitForLog("stopping"));
  std::this_thread::sleep_for(500ms);  // more than a delivery has that is to be over in time
  proxy.ReleaseHeld();
  EXPECT_EQ(service.Wait(11s), 0) << service.log();
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0U);
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_outbox WHERE requeues = 0"), "3");
  const Service next(Run());
  ExpectTheOracleIsContent();
}

TEST_F(Stop, OfATerminalThatIsClosedIsLikeSigterm) {
  endpoint_.On("/slow", Wait(1s) + Respond(200));
  platform_.AddAgent("agent", endpoint_.Url("/slow"));
  Service service(Run());
  platform_.CompleteCalls("agent", "call-", 5);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(5));
  service.Signal(SIGUSR1);
  service.Signal(SIGUSR2);
  service.Signal(SIGHUP);
  EXPECT_EQ(service.Wait(11s), 0) << service.log();
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"delivered", 5}}));
}

}  // namespace
}  // namespace postcall::test
