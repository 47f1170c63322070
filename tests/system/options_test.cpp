// Each option reaches the part of the program that it is for. The values and sources of each option are
// tested in tests/unit/cli; options that other tests need anyway (--egress-allow, --ca-file, --max-in-flight
// and the like) are not tested here.
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class Options : public SystemTest {
 protected:
  // Sends one call to that path with a service that has these options, and waits until it is over.
  void Deliver(const std::vector<std::string>& options, const std::string& path = "/hook") {
    platform_.AddAgent("agent", endpoint_.Url(path));
    platform_.CompleteCalls("agent", "call-", 1);
    const Service service(Run(options));
    ASSERT_TRUE(platform_.WaitUntilSettled()) << service.log();
  }
  static std::vector<nlohmann::json> Events(const Service& service, const std::string& event) {
    std::vector<nlohmann::json> events;
    std::istringstream lines(service.log());
    for (std::string line; std::getline(lines, line);) {
      const auto parsed = nlohmann::json::parse(line);
      if (parsed.at("event") == event) events.push_back(parsed);
    }
    return events;
  }
  std::string Delivery(const std::string& column) {
    return platform_.Value("SELECT " + column + " FROM webhook_deliveries");
  }
};

// Without this line an operator must look up the process's environment and the server's version.
TEST_F(Options, AreLoggedInOneLineAtTheStartWithTheirEffectiveValues) {
  const std::string name = platform_.Value("SELECT current_database()");
  const std::string place = "127.0.0.1:" + std::to_string(SharedPostgres().port()) + "/" + name;
  ServiceOptions options =
      Run({"--log-format", "json", "--max-in-flight", "1000", "--network-threads", "2", "--egress-allow",
           "10.0.0.0/8", "--egress-deny", "10.1.0.0/16", "--ledger-days", "500", "--database-url",
           "postgresql://postgres:hunter2@" + place});
  options.descriptor_limit = 300;
  Service service(options);
  ASSERT_TRUE(service.WaitUntilReady());
  service.Signal(SIGTERM);
  ASSERT_EQ(service.Wait(11s), 0);
  EXPECT_THAT(service.log(), ::testing::Not(::testing::HasSubstr("hunter2")));
  const std::string server =
      "PostgreSQL " + platform_.Value("SELECT split_part(current_setting('server_version'), ' ', 1)");
  const std::vector<nlohmann::json> started = Events(service, "started");
  ASSERT_EQ(started.size(), 1U) << service.log();
  const nlohmann::json& line = started[0];
  EXPECT_EQ(line["version"], POSTCALL_VERSION);
  EXPECT_EQ(line["instance"], "under-test");
  EXPECT_EQ(line["database"], place);
  EXPECT_EQ(line["server"], server);
  EXPECT_EQ(line["role"], "postgres");
  EXPECT_THAT(line["admin"].get<std::string>(), ::testing::MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]+"));
  EXPECT_LT(line["max_in_flight"], 1000) << "the limit of open files lowers it";
  EXPECT_EQ(line["max_in_flight_per_agent"], 50);
  EXPECT_EQ(line["max_in_flight_per_endpoint"], 200);
  EXPECT_EQ(line["slow_share"], 0.25);
  EXPECT_EQ(line["max_body_memory"], 512 << 20);
  EXPECT_EQ(line["network_threads"], 2);
  EXPECT_EQ(line["claim_sessions"], 2);
  EXPECT_EQ(line["egress_allow"], "127.0.0.0/8,10.0.0.0/8");
  EXPECT_EQ(line["egress_deny"], "10.1.0.0/16");
  EXPECT_EQ(line["source_address"], "none");
  EXPECT_EQ(line["ca_file"], "/etc/ssl/certs/ca-certificates.crt");
  EXPECT_EQ(line["retention_days"], 30);
  EXPECT_EQ(line["ledger_days"], 500);
  const std::vector<nlohmann::json> connected = Events(service, "connected to the database");
  ASSERT_EQ(connected.size(), 1U) << service.log();
  EXPECT_EQ(connected[0]["database"], place);
  EXPECT_EQ(connected[0]["server"], server);
  EXPECT_EQ(connected[0]["role"], "postgres");
}

TEST_F(Options, AreLoggedAtTheStartEvenWithoutADatabaseAndTheServerOnceItIsReached) {
  const std::string nowhere = SharedPostgres().TcpUrl("not_yet_there");
  Service service(Run({"--log-format", "json", "--database-url", nowhere}));
  ASSERT_TRUE(service.WaitForLog("the database is away"));
  const std::vector<nlohmann::json> started = Events(service, "started");
  ASSERT_EQ(started.size(), 1U) << service.log();
  EXPECT_EQ(started[0]["database"],
            "127.0.0.1:" + std::to_string(SharedPostgres().port()) + "/not_yet_there");
  EXPECT_EQ(started[0]["server"], "not reached yet");
  EXPECT_FALSE(started[0].contains("role"));
  const std::string made =
      Platform(SharedPostgres().CreateMigratedDatabase()).Value("SELECT current_database()");
  SharedPostgres().Execute("ALTER DATABASE " + made + " RENAME TO not_yet_there");
  ASSERT_TRUE(service.WaitForLog("connected to the database"));
  const std::vector<nlohmann::json> connected = Events(service, "connected to the database");
  ASSERT_EQ(connected.size(), 1U) << service.log();
  EXPECT_THAT(connected[0]["server"].get<std::string>(), ::testing::StartsWith("PostgreSQL "));
  EXPECT_EQ(connected[0]["role"], "postgres");
}

TEST_F(Options, EgressDenyOverridesEgressAllow) {
  Deliver({"--egress-deny", "127.0.0.0/16"});
  EXPECT_EQ(Delivery("outcome"), "blocked");
  EXPECT_EQ(endpoint_.ledger().ConnectionCount(), 0U);
}

TEST_F(Options, SourceAddressIsWhereConnectionsComeFrom) {
  Deliver({"--source-address", "127.0.0.9"});
  EXPECT_EQ(Delivery("outcome"), "delivered");
  EXPECT_EQ(endpoint_.ledger().Connections().at(0).from, "127.0.0.9");
}

TEST_F(Options, ResponseBodyBytesOfZeroKeepNothing) {
  endpoint_.Otherwise(Respond(500, "what the customer said"));
  Deliver({"--response-body-bytes", "0"});
  EXPECT_EQ(Delivery("outcome"), "rejected");
  EXPECT_EQ(Delivery("response_body IS NULL"), "t") << Delivery("response_body");
  EXPECT_EQ(Delivery("response_bytes"), "22") << "the body is read but not kept";
}

TEST_F(Options, TimeoutMsIsTheLimitOfADelivery) {
  endpoint_.Otherwise(Hang());
  Deliver({"--timeout-ms", "500"});
  EXPECT_EQ(Delivery("outcome"), "timeout");
  EXPECT_EQ(Delivery("total_ms BETWEEN 500 AND 750"), "t") << Delivery("total_ms");
}

// An operator must not believe that the token protects the port.
TEST_F(Options, AdminTokenFileIsLoggedAsNotUsedYet) {
  const auto file = std::filesystem::temp_directory_path() / ("postcall-token-" + std::to_string(::getpid()));
  std::ofstream(file) << "secret\n";
  const Service service(Run({"--admin-token-file", file.string()}));
  EXPECT_TRUE(service.WaitForLog("--admin-token-file is not used yet and protects nothing"));
  std::filesystem::remove(file);
}

TEST_F(Options, NetworkThreadsSetTheNumberOfThreads) {
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

TEST_F(Options, MaxBodyMemoryLimitsTheBodiesAndOtherCallsWait) {
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

TEST_F(Options, RetentionDaysSayWhichPartitionsAreDropped) {
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

TEST_F(Options, LedgerDaysSayWhichDecisionsAreDeleted) {
  platform_.Query(
      "INSERT INTO webhook_declined VALUES ('old', 'no_url', now() - interval '33 days'),"
      " ('young', 'no_url', now() - interval '31 days')");
  const Service service(Run({"--ledger-days", "32"}));
  EXPECT_TRUE(platform_.WaitForValue("SELECT string_agg(call_id, ' ') FROM webhook_declined", "young"))
      << service.log();
}

}  // namespace
}  // namespace postcall::test
