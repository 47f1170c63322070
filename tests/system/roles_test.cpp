// The binary as a login role that is a member of postcall_service and of nothing else.
#include <csignal>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class LeastPrivileged : public SystemTest {
 protected:
  LeastPrivileged() {
    platform_.Query(
        "DO $$ BEGIN CREATE ROLE dispatcher_login LOGIN IN ROLE postcall_service;"
        " EXCEPTION WHEN duplicate_object THEN END $$");
  }

  ServiceOptions RunAsMember() {
    return Run({"--database-url",
                SharedPostgres().Url(platform_.Value("SELECT current_database()"), "dispatcher_login")});
  }
};

TEST_F(LeastPrivileged, DeliversAndDoesAllItsChores) {
  endpoint_.On("/fail", Respond(500));
  platform_.AddAgent("good", endpoint_.Url("/ok"));
  platform_.AddAgent("bad", endpoint_.Url("/fail"));
  platform_.AddAgent("typo", "https//hooks.example.com");
  // There are partitions to make, including today's, one to drop, and an old row to delete, which is the last
  // chore.
  platform_.Query(
      "DO $$ DECLARE p text; BEGIN FOR p IN SELECT name FROM webhook_partitions LOOP EXECUTE 'DROP TABLE ' "
      "|| p; END "
      "LOOP; END $$");
  platform_.Query(
      "CREATE TABLE webhook_deliveries_20200101 PARTITION OF webhook_deliveries "
      "FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')");
  platform_.Query("INSERT INTO webhook_declined VALUES ('old', 'no_url', now() - interval '401 days')");

  Service service(RunAsMember());
  ASSERT_TRUE(service.WaitUntilReady()) << service.log();
  EXPECT_TRUE(
      platform_.WaitForValue("SELECT count(*) || ' ' || min(day) FROM webhook_partitions"
                             " WHERE day >= (now() AT TIME ZONE 'UTC')::date",
                             platform_.Value("SELECT '8 ' || (now() AT TIME ZONE 'UTC')::date")));
  EXPECT_TRUE(service.WaitForLog("dropped old partitions"));
  platform_.CompleteCalls("good", "good-", 30);
  platform_.CompleteCalls("bad", "bad-", 5);
  platform_.CompleteCalls("typo", "typo-", 1);
  ASSERT_TRUE(platform_.WaitUntilSettled()) << service.log();
  EXPECT_EQ(platform_.Outcomes(),
            (std::map<std::string, int>{{"delivered", 30}, {"invalid_settings", 1}, {"rejected", 5}}));
  EXPECT_TRUE(platform_.WaitForValue("SELECT count(*) FROM webhook_declined", "0"));
  EXPECT_EQ(service.Metric("postcall_partitions_ahead_days"), 7.0);
  EXPECT_EQ(service.Metric("postcall_unaccounted"), 0.0);
  EXPECT_EQ(platform_.Value("SELECT unaccounted FROM webhook_reconciliation"), "0");
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(20s), 0);
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_dispatchers"), "0") << "it removed its row";
  EXPECT_EQ(service.log().find("permission denied"), std::string::npos) << service.log();
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 35U);
}

TEST_F(LeastPrivileged, SweepsTheRowsOfAKilledDispatcher) {
  endpoint_.Otherwise(Hang());
  platform_.AddAgent("agent", endpoint_.Url("/hook"));
  platform_.CompleteCalls("agent", "call-", 10);
  {
    Service killed(RunAsMember());
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(10)) << killed.log();
    killed.Signal(SIGKILL);
    ASSERT_EQ(killed.Wait(5s), 128 + SIGKILL);
  }
  Service service(RunAsMember());
  ASSERT_TRUE(platform_.WaitUntilSettled(60s)) << service.log();
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"unknown", 10}}));
  EXPECT_EQ(service.log().find("permission denied"), std::string::npos) << service.log();
}

TEST_F(LeastPrivileged, ThatMayNotReadAViewEndsWithThatError) {
  platform_.Query("REVOKE SELECT ON webhook_source FROM postcall_service");
  Service service(RunAsMember());
  EXPECT_EQ(service.Wait(20s), 2);
  EXPECT_NE(service.log().find("the role dispatcher_login may not read webhook_source"), std::string::npos)
      << service.log();
}

TEST_F(LeastPrivileged, AMigratingRoleThatMayMakeNoRolesPrintsWhatIsLeftToDoAndHow) {
  PrivatePostgres postgres;
  postgres.Execute("CREATE ROLE app LOGIN");
  postgres.Execute("CREATE DATABASE voice OWNER app");
  Service migrate({.command = "migrate",
                   .arguments = {"--database-url", postgres.Url("voice", "app"), "--log-format", "json"}});
  ASSERT_EQ(migrate.Wait(30s), 0) << migrate.log();
  for (const std::string statement :
       {"CREATE ROLE postcall_service NOLOGIN", "CREATE ROLE postcall_reader NOLOGIN",
        "SELECT public.webhook_grant_roles()"}) {
    EXPECT_NE(migrate.log().find("\"statement\":\"" + statement + "\""), std::string::npos) << migrate.log();
    postgres.Execute(statement, "voice");
  }
  postgres.Execute("CREATE ROLE member LOGIN IN ROLE postcall_service");
  Service service(
      {.arguments = {"--database-url", postgres.Url("voice", "member"), "--admin-listen", "127.0.0.1:0"}});
  EXPECT_TRUE(service.WaitUntilReady()) << service.log();
}

}  // namespace
}  // namespace postcall::test
