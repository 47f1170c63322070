// PostgreSQL fails in many ways under a dispatcher that stays alive: no call is sent twice, none is lost, and
// no outcome stays `unknown`, because the dispatcher that knows it still runs.
#include <sched.h>
#include <sys/mount.h>

#include <filesystem>
#include <thread>

#include "tests/support/pgbouncer.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using ::testing::AnyOf;
using ::testing::HasSubstr;

// These texts occur in the statements of only that transaction.
const std::string kClaim = "INSERT INTO webhook_deliveries";
const std::string kRecord = "r.response_body";

class Database : public SystemTest {
 protected:
  void SetUp() override {
    for (int agent = 1; agent <= 20; ++agent) {
      platform_.AddAgent("agent-" + std::to_string(agent), endpoint_.Url("/hook"));
    }
    endpoint_.Otherwise(Wait(20ms) + Respond(200));
  }

  // Uses a new connection, because a restart closes all earlier ones.
  void CompleteCalls(const std::string& prefix, int count) {
    Platform(database_url_).CompleteCallsOfAgents("agent-", 20, prefix, count);
    completed_ += count;
  }

  // Calls `function` of PostgreSQL for each session of the dispatcher. Returns the number of these sessions.
  int SignalEach(const std::string& function, const std::string& state = "%") {
    return static_cast<int>(platform_
                                .Query("SELECT " + function +
                                       "(pid) FROM pg_stat_activity WHERE datname = current_database()"
                                       " AND application_name = 'postcall-dispatcher' AND state LIKE '" +
                                       state + "'")
                                .size());
  }

  void ExpectAllDelivered(const std::vector<const Service*>& lived) {
    ExpectTheOracleIsContent({}, lived);
    EXPECT_EQ(Platform(database_url_).Outcomes(), (std::map<std::string, int>{{"delivered", completed_}}));
    for (const Service* service : lived) {
      EXPECT_EQ(service->Metric("postcall_in_flight"), 0) << "a claim that failed kept its slots";
    }
  }

 private:
  int completed_ = 0;
};

TEST_F(Database, CrashesAndRecoversUnderLoad) {
  const Service first(Run());
  const Service second(Run());
  for (int crash = 1; crash <= 5; ++crash) {
    CompleteCalls("call-" + std::to_string(crash) + "-", 300);
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(static_cast<std::size_t>(crash - 1) * 300 + 50));
    SharedPostgres().Restart(PrivatePostgres::StopMode::kImmediate);
  }
  ExpectAllDelivered({&first, &second});
}

// A database that other programs have used for years may have such settings, and every new session gets them.
TEST_F(Database, HasSettingsOfItsOwn) {
  CompleteCalls("call-", 100);
  const std::string name = platform_.Value("SELECT quote_ident(current_database())");
  for (const std::string setting :
       {"array_nulls = off", "bytea_output = escape", "DateStyle = 'German'", "extra_float_digits = 0",
        "default_transaction_isolation = serializable", "default_transaction_deferrable = on",
        "IntervalStyle = sql_standard", "standard_conforming_strings = off", "TimeZone = 'Asia/Kathmandu'",
        "client_encoding = 'LATIN1'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '1ms'",
        "search_path = pg_catalog, public", "row_security = off", "synchronous_commit = off",
        "enable_indexscan = off", "plan_cache_mode = force_generic_plan"}) {
    platform_.Query("ALTER DATABASE " + name + " SET " + setting);
  }
  const Service service(Run());
  EXPECT_TRUE(
      platform_.WaitForValue("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'delivered'", "100"));
  platform_.Query("ALTER DATABASE " + name + " RESET ALL");  // so that the checks below do not have them
  ExpectAllDelivered({&service});
}

TEST_F(Database, TerminatesConnectionsAgainAndAgain) {
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  for (int time = 1; time <= 20; ++time) {
    CompleteCalls("call-" + std::to_string(time) + "-", 100);
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(static_cast<std::size_t>(time - 1) * 100 + 10));
    EXPECT_GE(SignalEach("pg_terminate_backend"), 1) << "the session of the claims at least";
  }
  ExpectAllDelivered({&service});
}

TEST_F(Database, CancelsStatementsAgainAndAgain) {
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  int hits = 0;
  for (int time = 1; time <= 5; ++time) {
    CompleteCalls("call-" + std::to_string(time) + "-", 300);
    const auto enough = static_cast<std::size_t>(time) * 300 - 50;
    const SteadyTime limit = Steady::now() + 2s;
    while (endpoint_.ledger().RequestCount() < enough && Steady::now() < limit) {
      hits += SignalEach("pg_cancel_backend", "active");
    }
  }
  EXPECT_GE(hits, 1);
  EXPECT_THAT(service.log(), HasSubstr("canceling statement due to user request"));
  ExpectAllDelivered({&service});
}

// During that time nothing new is sent. Deliveries in flight end, and their outcomes wait for the database.
TEST_F(Database, IsAwayForHalfAMinute) {
  endpoint_.Otherwise(Wait(2s) + Respond(200));
  const Service first(Run());
  const Service second(Run());
  const Service third(Run());
  const std::vector<const Service*> all = {&first, &second, &third};
  for (const Service* service : all) ASSERT_TRUE(service->WaitUntilReady());
  CompleteCalls("call-", 900);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(200));
  SharedPostgres().Stop(PrivatePostgres::StopMode::kImmediate);
  const SteadyTime away = Steady::now();
  for (const Service* service : all) {
    ASSERT_TRUE(service->WaitForLog("the database is away"));
    const HttpAnswer ready = service->Get("/readyz");
    EXPECT_EQ(ready.status, 503);
    EXPECT_THAT(ready.body, AnyOf(HasSubstr("the connection to PostgreSQL was lost"),
                                  HasSubstr("terminating connection"), HasSubstr("connection to server")));
    EXPECT_EQ(service->Get("/healthz").status, 200);
  }
  // The deliveries that were in flight are over.
  EXPECT_TRUE(endpoint_.ledger().WaitFor(
      [](const auto& requests, const auto&) {
        return std::ranges::all_of(requests,
                                   [](const RequestEntry& r) { return r.answer_ended_at.has_value(); });
      },
      15s));
  const std::size_t sent = endpoint_.ledger().RequestCount();
  std::this_thread::sleep_until(away + 30s);  // the database must be away for this time
  double unrecorded = 0;
  for (const Service* service : all) {
    unrecorded += *service->Metric("postcall_outcomes_unrecorded");
    EXPECT_THAT(service->Get("/readyz").body, HasSubstr("connection to server"))
        << "it must show the newest reason";
  }
  EXPECT_GT(unrecorded, 0.0);
  EXPECT_EQ(endpoint_.ledger().RequestCount(), sent) << "sent while the database was away";
  SharedPostgres().Start();
  ExpectAllDelivered(all);
}

// The platform does not wait, and no call is lost.
TEST_F(Database, HasItsLogLockedForTwentySeconds) {
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  CompleteCalls("before-", 200);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(50));
  {
    pqxx::connection locker(database_url_);
    pqxx::work lock(locker);
    lock.exec("LOCK TABLE webhook_deliveries IN ACCESS EXCLUSIVE MODE");
    const SteadyTime locked = Steady::now();
    CompleteCalls("meanwhile-", 200);
    EXPECT_LT(Steady::now() - locked, 2s) << "the platform waited";
    std::this_thread::sleep_until(locked + 20s);  // the log must be locked for this time
    EXPECT_EQ(service.Get("/healthz").status, 200);
  }
  ExpectAllDelivered({&service});
}

// For example, a person at psql has left a transaction open. The outcome of that row waits for it, and no
// other.
TEST_F(Database, HasOneRowOfItsLogLockedByAnother) {
  endpoint_.Otherwise(Wait(1s) + Respond(200));
  const Service service(Run({"--max-in-flight", "100"}));
  ASSERT_TRUE(service.WaitUntilReady());
  CompleteCalls("locked-", 1);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(1));
  {
    pqxx::connection holder(database_url_);
    pqxx::work hold(holder);
    hold.exec("SELECT FROM webhook_deliveries WHERE call_id = 'locked-1' FOR UPDATE");
    ASSERT_TRUE(service.WaitForLog("another transaction locks their rows"));
    CompleteCalls("meanwhile-", 400);
    EXPECT_TRUE(
        platform_.WaitForValue("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'delivered'", "400"));
    EXPECT_EQ(service.Metric("postcall_outcomes_unrecorded"), 1.0);
  }
  ExpectAllDelivered({&service});
}

// Outcomes that the log does not take stay in memory, so no more deliveries may start.
TEST_F(Database, TakesNoOutcomesAndNoMoreCallsAreSent) {
  const Service service(Run({"--max-in-flight", "100"}));
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.Query(
      "CREATE TABLE refusing AS SELECT; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
      " IF EXISTS (SELECT FROM refusing) THEN RAISE USING ERRCODE = 'lock_not_available'; END IF;"
      " RETURN NEW; END $$");
  platform_.Query(
      "CREATE TRIGGER refuse BEFORE UPDATE ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION refuse()");
  CompleteCalls("call-", 1000);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(101));
  ASSERT_TRUE(platform_.WaitForValue("SELECT count(*) > 100 FROM webhook_deliveries", "t"));
  std::this_thread::sleep_for(2s);  // in this time no more may be sent
  EXPECT_LE(endpoint_.ledger().RequestCount(), 200U);
  EXPECT_EQ(service.Get("/healthz").status, 200);
  platform_.Query("DELETE FROM refusing");
  ExpectAllDelivered({&service});
}

// While one claim waits, a session of its own makes the next one.
TEST_F(Database, HoldsUpOneClaimAndAnotherGoesOn) {
  const Service service(Run({"--max-in-flight-per-endpoint", "1000"}));
  platform_.CompleteCalls("agent-1", "first-", 1);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(1)) << "from now on it sees what becomes ready";
  platform_.Query(
      "INSERT INTO agents (id, settings) SELECT 'many-' || lpad(i::text, 3, '0'), settings"
      " FROM agents, generate_series(1, 600) i WHERE id = 'agent-1'");
  platform_.Query(
      "CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS"
      " $$ BEGIN PERFORM pg_sleep(3); RETURN NEW; END $$");
  platform_.Query(
      "CREATE TRIGGER hold_up BEFORE INSERT ON webhook_deliveries FOR EACH ROW"
      " WHEN (NEW.agent_id = 'many-001') EXECUTE FUNCTION hold_up()");
  platform_.Query(
      "INSERT INTO calls (id, agent_id, status)"
      " SELECT 'of-' || id, id, 'completed' FROM agents WHERE id ~ '^many-' ORDER BY id");
  // A claim has at most 500 rows, and the first one takes 3 s.
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(101));
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE agent_id = 'many-001'"), "0");
  ExpectTheOracleIsContent({}, {&service});
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 601U);
}

TEST_F(Database, HasALongTransactionOpen) {
  pqxx::connection reporter(database_url_);
  pqxx::transaction<pqxx::repeatable_read> report(reporter);
  report.exec("SELECT count(*) FROM webhook_deliveries");
  const Service service(Run());
  for (int part = 1; part <= 10; ++part) {
    CompleteCalls("call-" + std::to_string(part) + "-", 1000);
    ASSERT_TRUE(platform_.WaitUntilSettled());
  }
  ExpectAllDelivered({&service});
  // The open transaction keeps dead rows in the outbox; even so, the last calls are sent at once.
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE call_id LIKE 'call-10-%'"
                            " AND finished_at - total_ms * interval '1 ms' - due_at > interval '2 s'"),
            "0");
}

TEST_F(Database, LosesTheAnswerToAClaimsCommitAndItsCallsAreSentThen) {
  TcpProxy proxy(SharedPostgres().port());
  const Service service(Run({"--database-url", Through(proxy, database_url_)}));
  ASSERT_TRUE(service.WaitUntilReady());
  int faults = 0;
  for (const CommitFault fault : {CommitFault::kCutBeforeRequest, CommitFault::kCutBeforeAnswer,
                                  CommitFault::kCutAfterAnswer, CommitFault::kCutBeforeAnswer}) {
    proxy.FailNextCommit(fault, kClaim);
    CompleteCalls("call-" + std::to_string(++faults) + "-", 50);
    ASSERT_TRUE(proxy.WaitForFaults(faults));
  }
  proxy.FailNextCommit(CommitFault::kHold, kClaim);
  CompleteCalls("held-", 50);
  ASSERT_TRUE(proxy.WaitForFaults(++faults));
  ASSERT_TRUE(service.WaitForLog("commit is in doubt"));
  proxy.ReleaseHeld();
  ExpectAllDelivered({&service});
}

TEST_F(Database, LosesTheAnswerToARecordsCommitAndTheRecordIsRepeated) {
  TcpProxy proxy(SharedPostgres().port());
  const Service service(Run({"--database-url", Through(proxy, database_url_)}));
  ASSERT_TRUE(service.WaitUntilReady());
  int faults = 0;
  for (const CommitFault fault :
       {CommitFault::kCutBeforeRequest, CommitFault::kCutBeforeAnswer, CommitFault::kCutAfterAnswer}) {
    proxy.FailNextCommit(fault, kRecord);
    CompleteCalls("call-" + std::to_string(++faults) + "-", 50);
    ASSERT_TRUE(proxy.WaitForFaults(faults));
  }
  ExpectAllDelivered({&service});
}

TEST_F(Database, DoesNotAnswerForAWhile) {
  TcpProxy proxy(SharedPostgres().port());
  const Service service(Run({"--database-url", Through(proxy, database_url_)}));
  ASSERT_TRUE(service.WaitUntilReady());
  CompleteCalls("before-", 200);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(50));
  proxy.Stall(true);
  const SteadyTime stalled = Steady::now();
  CompleteCalls("meanwhile-", 200);
  std::this_thread::sleep_until(stalled + 20s);  // the server must be silent for this time
  proxy.Stall(false);
  ExpectAllDelivered({&service});
}

TEST_F(Database, CrashesBehindPgBouncer) {
  const PgBouncer pgbouncer(SharedPostgres(), 3);
  const std::string url = pgbouncer.Url(platform_.Value("SELECT current_database()"));
  const Service first(Run({"--database-url", url}));
  const Service second(Run({"--database-url", url}));
  for (int crash = 1; crash <= 3; ++crash) {
    CompleteCalls("call-" + std::to_string(crash) + "-", 300);
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(static_cast<std::size_t>(crash - 1) * 300 + 50));
    SharedPostgres().Restart(PrivatePostgres::StopMode::kImmediate);
  }
  ExpectAllDelivered({&first, &second});
}

// The test puts the log on a small disk of its own and fills the disk to its last page.
TEST_F(Database, HasNoRoomForTheLog) {
  if (::geteuid() != 0) {
    if (MustRun()) FAIL() << "to mount a small disk needs root";
    GTEST_SKIP() << "to mount a small disk needs root";
  }
  // Only this process and the server that it starts below see the mount.
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << "/ is no mount point";
  PrivatePostgres postgres;
  const std::filesystem::path disk = std::filesystem::path(postgres.folder()) / "small-disk";
  std::filesystem::create_directory(disk);
  ASSERT_EQ(::mount("none", disk.c_str(), "tmpfs", 0, "size=16m"), 0);
  GiveToServerUser(disk);
  const std::string url = postgres.CreateMigratedDatabase();
  Platform platform(url);
  pqxx::connection superuser(url);
  pqxx::nontransaction(superuser).exec("CREATE TABLESPACE small LOCATION '" + disk.string() + "'");
  for (const auto& row : platform.Query("SELECT name FROM webhook_partitions")) {
    platform.Query("ALTER TABLE " + row[0].as<std::string>() + " SET TABLESPACE small");
  }
  for (int agent = 1; agent <= 20; ++agent) {
    platform.AddAgent("agent-" + std::to_string(agent), endpoint_.Url("/hook"));
  }
  endpoint_.Otherwise(Wait(1s) + Respond(200, std::string(4000, 'x')));
  const Service service(Run({"--database-url", url}));
  platform.CompleteCallsOfAgents("agent-", 20, "before-", 500);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(100));
  platform.Query("CREATE TABLE filler (bytes text) TABLESPACE small");
  platform.Query("ALTER TABLE filler ALTER bytes SET STORAGE EXTERNAL");
  for (int size = 1'000'000; size >= 1000; size /= 10) {
    EXPECT_THROW(
        while (true) platform.Query("INSERT INTO filler SELECT repeat('x', " + std::to_string(size) + ")"),
        pqxx::failure);
  }
  platform.CompleteCallsOfAgents("agent-", 20, "meanwhile-", 500);
  ASSERT_TRUE(service.WaitForLog("No space left on device")) << service.log();
  EXPECT_EQ(service.Get("/healthz").status, 200);
  platform.Query("DROP TABLE filler");
  const Oracle oracle(url, {&endpoint_.ledger()});
  EXPECT_TRUE(oracle.WaitUntilSettled());
  EXPECT_THAT(oracle.Violations({}, {&service}), ::testing::IsEmpty());
  EXPECT_EQ(platform.Outcomes(), (std::map<std::string, int>{{"delivered", 1000}}));
}

}  // namespace
}  // namespace postcall::test
