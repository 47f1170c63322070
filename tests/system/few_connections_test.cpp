// The server has too few connections for all sessions of the dispatcher, because of a limit of the role or
// after a fail-over to a smaller server. No call is sent whose outcome could not be recorded (CONTRACT §4).
#include <csignal>
#include <thread>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class FewConnections : public SystemTest {
 protected:
  FewConnections() {
    // Roles belong to the whole server, which the tests of this binary use one after the other.
    platform_.Query(
        "DO $$ BEGIN CREATE ROLE limited LOGIN IN ROLE postcall_service;"
        " EXCEPTION WHEN duplicate_object THEN END $$");
    LimitTo(-1);
    platform_.AddAgent("agent", endpoint_.Url("/hook"));
  }

  ServiceOptions RunLimited() const {
    return Run({"--database-url", SharedPostgres().Url(database_, "limited")});
  }

  // Open connections stay open.
  void LimitTo(int connections) {
    platform_.Query("ALTER ROLE limited CONNECTION LIMIT " + std::to_string(connections));
  }

  std::size_t TerminateAll() {
    return platform_.Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'limited'")
        .size();
  }

  const std::string database_ = platform_.Value("SELECT current_database()");
};

TEST_F(FewConnections, NothingIsSentWhileASessionHasNoConnection) {
  LimitTo(1);
  const Service service(RunLimited());
  platform_.CompleteCalls("agent", "call-", 20);
  EXPECT_TRUE(service.WaitForLog("too many connections for role")) << service.log();
  EXPECT_FALSE(service.WaitUntilReady(2s));
  EXPECT_THAT(service.Get("/readyz").body, HasSubstr("too many connections for role"));
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0U);

  LimitTo(-1);
  EXPECT_TRUE(service.WaitUntilReady()) << service.log();
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 20}}));
}

TEST_F(FewConnections, NothingIsSentWhileTheRecorderAloneHasNoConnection) {
  const Service service(RunLimited());
  ASSERT_TRUE(service.WaitUntilReady()) << service.log();
  // The other sessions ask something every second.
  const std::string recorder =
      "pid FROM pg_stat_activity WHERE usename = 'limited' AND query_start < now() - interval '3 seconds'";
  ASSERT_TRUE(platform_.WaitForValue("SELECT count(*) FROM (SELECT " + recorder + ") AS idle", "1"));
  LimitTo(1);
  platform_.Query("SELECT pg_terminate_backend(pid) FROM (SELECT " + recorder + ") AS idle");
  ASSERT_TRUE(service.WaitForLog("outcomes cannot be recorded")) << service.log();
  EXPECT_THAT(service.Get("/readyz").body, HasSubstr("too many connections for role"));
  platform_.CompleteCalls("agent", "call-", 20);
  std::this_thread::sleep_for(500ms);  // several polls
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0U);

  LimitTo(-1);
  EXPECT_TRUE(service.WaitUntilReady()) << service.log();
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 20}}));
}

// Claims and records come first; the log says that housekeeping has no connection.
TEST_F(FewConnections, DeliveriesAreRecordedWithTwoOfThree) {
  LimitTo(2);
  Service service(RunLimited());
  platform_.CompleteCalls("agent", "call-", 20);
  EXPECT_TRUE(service.WaitUntilReady()) << service.log();
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_TRUE(service.WaitForLog("a chore failed and is tried again chore=\"keep partitions\""))
      << service.log();
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(20s), 0) << service.log();
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'in_flight'"), "0");
}

// Housekeeping connects when the recorder has lost its connection, and closes its own connection again.
TEST_F(FewConnections, TheConnectionOfTheRecorderIsNotTakenForGood) {
  LimitTo(2);
  const Service service(RunLimited());
  ASSERT_TRUE(service.WaitUntilReady()) << service.log();
  const std::string recorder =
      "pid FROM pg_stat_activity WHERE usename = 'limited' AND query_start < now() - interval '2 seconds'";
  // Either the recorder or housekeeping may be the first to connect again.
  for (int time = 1; time <= 4; ++time) {
    ASSERT_TRUE(platform_.WaitForValue("SELECT count(*) FROM (SELECT " + recorder + ") AS idle", "1"));
    platform_.Query("SELECT pg_terminate_backend(pid) FROM (SELECT " + recorder + ") AS idle");
    ASSERT_TRUE(
        platform_.WaitForValue("SELECT count(*) FROM pg_stat_activity WHERE usename = 'limited'", "2"));
    platform_.CompleteCalls("agent", "call-" + std::to_string(time) + "-", 5);
    ASSERT_TRUE(platform_.WaitUntilSettled()) << service.log();
  }
  ExpectTheOracleIsContent({}, {&service});
}

// Other sessions of the dispatcher have all connections. At a stop they close them, so that the last outcomes
// can be written.
TEST_F(FewConnections, TheLastOutcomesGetAConnectionAtAStop) {
  endpoint_.Otherwise(Wait(4s) + Respond(200));
  Service service(RunLimited());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.CompleteCalls("agent", "call-", 20);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(20));
  ASSERT_TRUE(platform_.WaitForValue("SELECT count(*) FROM pg_stat_activity WHERE usename = 'limited'", "3"));
  LimitTo(2);
  EXPECT_EQ(TerminateAll(), 3U);
  ASSERT_TRUE(platform_.WaitForValue("SELECT count(*) FROM pg_stat_activity WHERE usename = 'limited'", "2"));
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(20s), 0) << service.log();
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 20}})) << service.log();
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_dispatchers"), "0") << "it removed its row";
}

}  // namespace
}  // namespace postcall::test
