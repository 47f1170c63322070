// The service as operators meet it: its admin port, its log, its exit codes, and no secret in any of them.
#include <csignal>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/tcp_proxy.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class Manners : public SystemTest {};

TEST_F(Manners, ReadyWhileTheDatabaseIsThereAndNotAfter) {
  PrivatePostgres postgres;
  const std::string url = postgres.CreateMigratedDatabase();
  Service service({.arguments = {"--database-url", url, "--admin-listen", "127.0.0.1:0"}});
  ASSERT_TRUE(service.WaitUntilReady());
  EXPECT_EQ(service.Get("/healthz").status, 200);
  EXPECT_EQ(service.Metric("postcall_database_connected"), 1.0);
  postgres.Stop(PrivatePostgres::StopMode::kImmediate);
  ASSERT_TRUE(service.WaitForLog("the database is away"));
  const HttpAnswer away = service.Get("/readyz");
  EXPECT_EQ(away.status, 503);
  EXPECT_FALSE(away.body.empty());
  EXPECT_EQ(service.Get("/healthz").status, 200) << "alive, only not ready";
  EXPECT_EQ(service.Metric("postcall_database_connected"), 0.0);
  postgres.Start();
  EXPECT_TRUE(service.WaitUntilReady());
}

TEST_F(Manners, OutcomesOutliveADatabaseThatGoesAway) {
  PrivatePostgres postgres;
  const std::string url = postgres.CreateMigratedDatabase();
  endpoint_.On("/slow", Wait(2s) + Respond(200));
  Service service({.arguments = {"--database-url", url, "--admin-listen", "127.0.0.1:0", "--egress-allow",
                                 "127.0.0.0/8"}});
  {
    Platform platform(url);
    platform.AddAgent("agent", endpoint_.Url("/slow"));
    platform.CompleteCalls("agent", "call-", 20);
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(20));
  }
  postgres.Stop(PrivatePostgres::StopMode::kImmediate);
  ASSERT_TRUE(service.WaitForLog("outcomes wait"));
  EXPECT_GT(*service.Metric("postcall_outcomes_unrecorded"), 0.0);
  postgres.Start();
  ASSERT_TRUE(service.WaitUntilReady());
  Platform platform(url);
  EXPECT_TRUE(platform.WaitUntilSettled());
  EXPECT_EQ(platform.Outcomes(), (std::map<std::string, int>{{"delivered", 20}}));
}

TEST_F(Manners, StoppedWithoutADatabaseItPrintsEachOutcomeAndFails) {
  PrivatePostgres postgres;
  const std::string url = postgres.CreateMigratedDatabase();
  endpoint_.On("/slow", Wait(1s) + Respond(200));
  Service service({.arguments = {"--database-url", url, "--admin-listen", "127.0.0.1:0", "--egress-allow",
                                 "127.0.0.0/8"}});
  {
    Platform platform(url);
    platform.AddAgent("agent", endpoint_.Url("/slow"));
    platform.CompleteCalls("agent", "call-", 5);
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(5));
  }
  postgres.Stop(PrivatePostgres::StopMode::kImmediate);
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(12s), 1);
  int printed = 0;
  std::istringstream lines(service.log());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("{") && nlohmann::json::parse(line).at("outcome") == "delivered") ++printed;
  }
  EXPECT_EQ(printed, 5) << service.log();
}

// As above with a server that takes bytes and never answers, for which a client would wait.
TEST_F(Manners, StoppedWithADatabaseThatHangsItPrintsEachOutcomeInTime) {
  PrivatePostgres postgres;
  const std::string url = postgres.CreateMigratedDatabase();
  TcpProxy proxy(postgres.port());
  const std::string database = Platform(url).Value("SELECT current_database()");
  endpoint_.On("/slow", Wait(9s) + Respond(200));
  Service service(
      {.arguments = {"--database-url",
                     "postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + database,
                     "--admin-listen", "127.0.0.1:0", "--egress-allow", "127.0.0.0/8"}});
  Platform platform(url);
  platform.AddAgent("agent", endpoint_.Url("/slow"));
  platform.CompleteCalls("agent", "call-", 5);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(5));
  proxy.Stall(true);
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(11500ms), 1) << service.log();
  int printed = 0;
  std::istringstream lines(service.log());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("{") && nlohmann::json::parse(line).at("outcome") == "delivered") ++printed;
  }
  EXPECT_EQ(printed, 5) << service.log();
}

// Nothing of such a claim was sent, and whether it was made can no longer be found out.
TEST_F(Manners, StoppedWithAClaimInDoubtItSaysThatNothingWasSent) {
  PrivatePostgres postgres;
  const std::string url = postgres.CreateMigratedDatabase();
  const std::string database = Platform(url).Value("SELECT current_database()");
  TcpProxy proxy(postgres.port());
  Service service(
      {.arguments = {"--database-url",
                     "postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + database,
                     "--admin-listen", "127.0.0.1:0", "--egress-allow", "127.0.0.0/8"}});
  ASSERT_TRUE(service.WaitUntilReady());
  Platform platform(url);
  platform.AddAgent("agent", endpoint_.Url("/ok"));
  platform.Query("CREATE TABLE gate ()");
  platform.Query(R"(CREATE FUNCTION wait_for_gate() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN LOCK TABLE gate; RETURN NULL; END $$)");
  platform.Query(
      "CREATE TRIGGER wait_for_gate AFTER DELETE ON webhook_outbox EXECUTE FUNCTION wait_for_gate()");
  pqxx::connection holder(url);
  pqxx::work gate(holder);
  gate.exec("LOCK TABLE gate");
  platform.CompleteCalls("agent", "call-", 1);
  // The claim is at work: the next COMMIT is its own.
  ASSERT_TRUE(platform.WaitForValue("SELECT count(*) FROM pg_locks WHERE NOT granted", "1"));
  proxy.FailNextCommit(CommitFault::kCutBeforeAnswer);
  gate.commit();
  ASSERT_TRUE(service.WaitForLog("asking for its fate"));
  postgres.Stop(PrivatePostgres::StopMode::kImmediate);
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(12s), 1) << service.log();
  int printed = 0;
  std::istringstream lines(service.log());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("{") && nlohmann::json::parse(line).at("outcome") == "not_sent") ++printed;
  }
  EXPECT_EQ(printed, 1) << service.log();
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0U);
}

TEST_F(Manners, LogsJsonLinesAndNoSecretAnywhere) {
  platform_.AddAgent(
      "agent", "http://user:hunter2@127.0.0.1:" + std::to_string(endpoint_.port()) + "/fail?token=hush",
      R"("headers": {"X-Api-Key": "topsecretkey"}, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")");
  endpoint_.On("/fail", Respond(500));
  Service service(Run({"--log-format", "json", "--log-level", "debug"}));
  platform_.CompleteCalls("agent", "call-", 1);
  ASSERT_TRUE(platform_.WaitForValue("SELECT outcome FROM webhook_deliveries", "rejected"));
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(1));
  EXPECT_EQ(endpoint_.ledger().Requests()[0].Header("Authorization"), "Basic dXNlcjpodW50ZXIy");
  EXPECT_EQ(endpoint_.ledger().Requests()[0].Header("X-Api-Key"), "topsecretkey");
  EXPECT_TRUE(endpoint_.ledger().Requests()[0].Header("webhook-signature"));
  const std::string metrics = service.Get("/metrics").body;
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(11s), 0);

  const std::string row = platform_.Value("SELECT row_to_json(d) FROM webhook_deliveries AS d");
  for (const std::string secret : {"hunter2", "hush", "topsecretkey", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}) {
    EXPECT_EQ(service.log().find(secret), std::string::npos) << secret;
    EXPECT_EQ(metrics.find(secret), std::string::npos) << secret;
    EXPECT_EQ(row.find(secret), std::string::npos) << secret;
  }
  std::istringstream lines(service.log());
  for (std::string line; std::getline(lines, line);) {
    const auto event = nlohmann::json::parse(line);
    EXPECT_TRUE(event.contains("time") && event.contains("level") && event.contains("event")) << line;
  }
}

TEST_F(Manners, WrongConfigurationIsOneLineAndExitCodeTwo) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--no-such-option"}, "--no-such-option"},
      {{"--timeout-ms", "10001"}, "--timeout-ms"},
      {{"--egress-allow", "10.0.0.0/33"}, "--egress-allow"},
      {{"--config", "/nonexistent.toml"}, "/nonexistent.toml"},
      {{"--ca-file", "/nonexistent.pem"}, "/nonexistent.pem"},
      {{"--admin-listen", "192.0.2.1:9464"}, "192.0.2.1:9464"},
  };
  for (const auto& [arguments, named] : cases) {
    Service service(Run(arguments));
    EXPECT_EQ(service.Wait(10s), 2) << named;
    EXPECT_NE(service.log().find(named), std::string::npos) << service.log();
    EXPECT_EQ(std::ranges::count(service.log(), '\n'), 1) << service.log();
  }
}

TEST_F(Manners, RefusesADatabaseThatIsNotMigrated) {
  const std::string url = SharedPostgres().CreateDatabase();
  Service service({.arguments = {"--database-url", url, "--admin-listen", "127.0.0.1:0"}});
  EXPECT_EQ(service.Wait(10s), 2);
  EXPECT_NE(service.log().find("migrate"), std::string::npos) << service.log();
  Service migrating({.arguments = {"--database-url", url, "--admin-listen", "127.0.0.1:0", "--migrate"}});
  EXPECT_TRUE(migrating.WaitUntilReady());
}

TEST_F(Manners, AForeignHostHeaderIsRefusedOnLoopback) {
  Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  EXPECT_GE(service.Get("/metrics", "attacker.example").status, 400);
}

}  // namespace
}  // namespace postcall::test
