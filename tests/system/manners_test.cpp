// The service as operators see it: its admin port, its log and its exit codes, and no secret in any of them.
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

using Counts = std::map<std::string, int>;

class Manners : public SystemTest {
 protected:
  // Counts the lines of a level above debug.
  static int LinesThatCount(const std::string& log) {
    int count = 0;
    std::istringstream lines(log);
    for (std::string line; std::getline(lines, line);)
      count += line.find("Z debug ") == std::string::npos ? 1 : 0;
    return count;
  }
  static std::ptrdiff_t Count(const std::string& log, const std::string& text) {
    std::ptrdiff_t count = 0;
    for (std::size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++count;
    return count;
  }
};

TEST_F(Manners, ReadyOnlyWhileTheDatabaseAnswers) {
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
  EXPECT_EQ(service.Get("/healthz").status, 200) << "it is alive but not ready";
  EXPECT_EQ(service.Metric("postcall_database_connected"), 0.0);
  postgres.Start();
  EXPECT_TRUE(service.WaitUntilReady());
}

TEST_F(Manners, OutcomesAreKeptWhileTheDatabaseIsAway) {
  PrivatePostgres postgres;
  const std::string url = postgres.CreateMigratedDatabase();
  endpoint_.On("/slow", Wait(2s) + Respond(200));
  Service service(Run({"--database-url", url}));
  {
    Platform platform(url);
    platform.AddAgent("agent", endpoint_.Url("/slow"));
    platform.CompleteCalls("agent", "call-", 20);
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(20));
  }
  postgres.Stop(PrivatePostgres::StopMode::kImmediate);
  ASSERT_TRUE(service.WaitForLog("recording outcomes failed"));
  EXPECT_GT(*service.Metric("postcall_outcomes_unrecorded"), 0.0);
  postgres.Start();
  ASSERT_TRUE(service.WaitUntilReady());
  Platform platform(url);
  EXPECT_TRUE(platform.WaitUntilSettled());
  EXPECT_EQ(platform.Outcomes(), (Counts{{"delivered", 20}}));
}

// For example: a terminal that is stopped, a log driver that hangs, a full disk behind a pipe.
TEST_F(Manners, WithALogThatIsNotReadStillDeliversAndStops) {
  endpoint_.On("/refusal", Respond(500));
  platform_.AddAgent("refusing", endpoint_.Url("/refusal"));
  platform_.AddAgent("agent", endpoint_.Url("/ok"));
  Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  service.ReadLog(false);
  platform_.CompleteCalls("refusing", "refused-", 6000);  // each is a log line; more than may wait
  ASSERT_TRUE(platform_.WaitUntilSettled(60s));
  platform_.CompleteCalls("agent", "call-", 50);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"delivered", 50}, {"rejected", 6000}}));
  service.ReadLog(true);
  EXPECT_TRUE(service.WaitForLog("log lines were dropped because standard error was not read"));
  service.ReadLog(false);
  platform_.CompleteCalls("refusing", "refused-too-", 1000);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(5s), 0);
  ExpectTheOracleIsContent({}, {});
}

// A lock of another transaction is no outage: no probe takes the service out, and no alert fires.
TEST_F(Manners, StaysReadyWhileALockIsHeld) {
  Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  pqxx::connection holder(database_url_);
  pqxx::work lock(holder);
  lock.exec("LOCK TABLE webhook_outbox");
  ASSERT_TRUE(service.WaitForLog("a database operation failed"));
  EXPECT_EQ(service.Get("/readyz").status, 200);
  EXPECT_EQ(service.Metric("postcall_database_connected"), 1.0);
  EXPECT_GT(*service.Metric(R"(postcall_database_errors_total{operation="claim"})"), 0.0);
  lock.abort();
  platform_.AddAgent("agent", endpoint_.Url("/ok"));
  platform_.CompleteCalls("agent", "call-", 1);
  EXPECT_TRUE(platform_.WaitUntilSettled());
}

// This happens in a rolling upgrade that older binaries are not compatible with.
TEST_F(Manners, StopsClaimingWhenTheDatabaseIsMigratedBeyondIt) {
  Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.Query("INSERT INTO webhook_migrations VALUES (99, 'of_the_future', now(), 99)");
  ASSERT_TRUE(service.WaitForLog("compatibility number 99"));
  EXPECT_EQ(service.Get("/readyz").status, 503);
  EXPECT_NE(service.Get("/readyz").body.find("compatibility number 99"), std::string::npos);
  platform_.AddAgent("agent", endpoint_.Url("/ok"));
  platform_.CompleteCalls("agent", "call-", 1);
  EXPECT_TRUE(platform_.WaitForValue("SELECT heartbeats > " +
                                         platform_.Value("SELECT heartbeats FROM webhook_dispatchers") +
                                         " FROM webhook_dispatchers",
                                     "t"))
      << "or the other dispatchers would declare it dead";
  platform_.Query("DELETE FROM webhook_migrations WHERE version = 99");
  EXPECT_TRUE(platform_.WaitUntilSettled()) << "it continues when the database is compatible again";
}

TEST_F(Manners, ReportsAnOutageOnce) {
  PrivatePostgres postgres;
  const std::string url = postgres.CreateMigratedDatabase();
  Service service(Run({"--database-url", url, "--log-level", "debug"}));
  ASSERT_TRUE(service.WaitUntilReady());
  ASSERT_TRUE(
      service.WaitForLog("connected to the database"));  // a line is written a moment after it is logged
  const std::size_t before = service.log().size();
  postgres.Stop(PrivatePostgres::StopMode::kImmediate);
  ASSERT_TRUE(service.WaitForMetric(R"(postcall_database_errors_total{operation="heartbeat"})",
                                    [](double errors) { return errors >= 8; }));
  EXPECT_EQ(Count(service.log(), "the database is away"), 1) << service.log();
  EXPECT_EQ(LinesThatCount(service.log().substr(before)), 1) << service.log();
  EXPECT_NE(service.Get("/readyz").body.find("connection to server"), std::string::npos)
      << "it must show the newest reason: " << service.Get("/readyz").body;
  EXPECT_EQ(Count(service.log(), "the database cannot be used"), 0) << service.log();
}

// The connection works, so no other line reports the failure.
TEST_F(Manners, ReportsOncePerReasonThatAChoreFails) {
  platform_.Query(
      "ALTER FUNCTION webhook_release_analysed(bigint) RENAME TO webhook_released;"
      "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at, awaits_analysis)"
      " VALUES ('waits', 'agent', 'completion', now(), now() + interval '1 hour', true)");
  Service service(Run());
  ASSERT_TRUE(
      service.WaitForLog("a chore failed and is tried again chore=\"make calls due whose analysis came\""));
  ASSERT_TRUE(service.WaitForMetric(R"(postcall_database_errors_total{operation="sweep"})",
                                    [](double errors) { return errors >= 3; }));
  EXPECT_EQ(Count(service.log(), "a chore failed"), 1) << service.log();
}

// A call that ends in the claim itself, without a POST, is logged like the others.
TEST_F(Manners, LogsEachCallThatWasNotDelivered) {
  endpoint_.On("/refusal", Respond(500));
  platform_.AddAgent("refusing", endpoint_.Url("/refusal"));
  platform_.AddAgent("wrong", "https://user:hunter2@hooks.example:0/x");
  platform_.AddAgent("gone", endpoint_.Url("/ok"));
  for (const std::string agent : {"refusing", "wrong", "gone"})
    platform_.CompleteCalls(agent, agent + "-", 1);
  platform_.Query("DELETE FROM calls WHERE agent_id = 'gone'");
  Service service(Run({"--log-format", "json"}));
  ASSERT_TRUE(platform_.WaitUntilSettled());
  service.Signal(SIGTERM);
  ASSERT_EQ(service.Wait(11s), 0);
  std::map<std::string, nlohmann::json> said;
  std::istringstream lines(service.log());
  for (std::string line; std::getline(lines, line);) {
    const auto event = nlohmann::json::parse(line);
    if (event.at("event") == "a call was not delivered") said[event.at("call")] = event;
  }
  ASSERT_EQ(said.size(), 3U) << service.log();
  for (const auto& [call, event] : said) {
    for (const std::string field : {"agent", "outcome", "url", "error"}) {
      EXPECT_EQ(event.at(field),
                platform_.Value("SELECT coalesce(" + std::string(field == "agent" ? "agent_id" : field) +
                                ", '') FROM webhook_deliveries WHERE call_id = '" + call + "'"));
    }
    EXPECT_EQ(event.contains("status"), call == "refusing-1") << event << ": there was no answer";
  }
}

TEST_F(Manners, WritesNoKeysOfTlsSessionsWhateverTheEnvironmentSays) {
  CertificateAuthority authority;
  HostileEndpoint tls({.tls = TlsOptions{authority.Issue({"127.0.0.1"})}});
  const std::string keys = ::testing::TempDir() + "keys." + std::to_string(::getpid());
  ServiceOptions options = Run({"--ca-file", authority.ca_file().string()});
  options.environment = {{"SSLKEYLOGFILE", keys}};
  Service service(std::move(options));
  platform_.AddAgent("agent", tls.Url("/ok"));
  platform_.CompleteCalls("agent", "call-", 1);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"delivered", 1}}));
  EXPECT_FALSE(std::filesystem::exists(keys));
}

// Signing takes time in proportion to the size of the body, once per secret. Here it takes so long that the
// network's timer would notice it.
TEST_F(Manners, ALargeSignedBodyDelaysNoOtherDelivery) {
  std::string secrets;
  for (int secret = 0; secret < 16; ++secret) {
    secrets += std::string(secret == 0 ? "" : ", ") + R"("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")";
  }
  platform_.AddAgent("large", endpoint_.Url("/ok"), R"("secret": [)" + secrets + "]");
  Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.Query("INSERT INTO calls (id, agent_id, status) VALUES ('large', 'large', 'in_progress')");
  platform_.Query(
      "INSERT INTO call_analysis (call_id, summary) VALUES ('large', repeat('x', 80 * 1000 * 1000))");
  platform_.Query("UPDATE calls SET status = 'completed'");
  ASSERT_TRUE(platform_.WaitUntilSettled());
  ASSERT_EQ(platform_.Outcomes(), (Counts{{"delivered", 1}}));
  const std::string signature = endpoint_.ledger().Requests()[0].Header("webhook-signature").value();
  EXPECT_EQ(Count(signature, "v1,"), 16);
  const std::string metrics = service.Get("/metrics").body;  // of one moment: the timer goes on counting
  EXPECT_EQ(SampleIn(metrics, R"(postcall_loop_lag_seconds_bucket{le="0.25"})").value(),
            SampleIn(metrics, "postcall_loop_lag_seconds_count").value())
      << metrics;
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

TEST_F(Manners, WarnsOfALoweredLimitOnlyWhenItStarts) {
  ServiceOptions options = Run();
  options.descriptor_limit = 300;
  Service service(options);
  ASSERT_TRUE(service.WaitForLog("--max-in-flight is lowered"));
  ASSERT_TRUE(service.WaitUntilReady());
  options.arguments.insert(options.arguments.end(), {"--admin-listen", "192.0.2.1:9464"});
  Service refused(options);
  EXPECT_EQ(refused.Wait(10s), 2);
  EXPECT_EQ(std::ranges::count(refused.log(), '\n'), 1) << refused.log();
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
