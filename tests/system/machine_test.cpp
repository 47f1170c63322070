// Faults of the machine itself, here for one process only: descriptors, memory, local ports, the wall clock.
// None of them is a customer's fault (CONTRACT §2).
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "tests/support/sanitizers.h"
#include "tests/support/wrong_clock.h"
#include "tests/system/private_network_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

using Counts = std::map<std::string, int>;

class Machine : public PrivateNetworkTest {
 protected:
  // Adds agents `prefix`1 … with that URL.
  void AddAgents(const std::string& prefix, int count, const std::string& url) {
    for (int agent = 1; agent <= count; ++agent) platform_.AddAgent(prefix + std::to_string(agent), url);
  }
};

TEST_F(Machine, WithFewDescriptorsDeliversManyMoreCallsThanDescriptors) {
  HostileEndpoint six({.address = "::1"});
  for (HostileEndpoint* endpoint : {&endpoint_, &six}) endpoint->Otherwise(Wait(100ms) + Respond(200));
  names_->server().Script("hooks.example", NameAnswer::Addresses({"127.0.0.1"}, 0));
  AddAgents("near-", 20, endpoint_.Url("/hook"));
  AddAgents("named-", 20, endpoint_.Url("/hook", "hooks.example"));
  AddAgents("six-", 20, six.Url("/hook"));
  ServiceOptions options = RunWithNames({"--egress-allow", "::1/128"});
  options.descriptor_limit = 200;
  const Service service(std::move(options));
  for (const std::string prefix : {"near-", "named-", "six-"}) {
    platform_.CompleteCallsOfAgents(prefix, 20, prefix, 400);
  }
  ASSERT_TRUE(platform_.WaitUntilSettled(60s));
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"delivered", 1200}}));
  EXPECT_LT(service.Metric("postcall_in_flight_limit"), 100.0);
  ExpectTheOracleIsContent({}, {&service}, {&six});
}

TEST_F(Machine, OutOfDescriptorsWhileItRunsRequeuesAndDeliversLater) {
  endpoint_.Otherwise(Wait(200ms) + Respond(200));
  CountRequeues();
  names_->server().Script("hooks.example", NameAnswer::Addresses({"127.0.0.1"}, 0));
  AddAgents("near-", 20, endpoint_.Url("/hook"));
  AddAgents("named-", 20, endpoint_.Url("/hook", "hooks.example"));
  const Service service(RunWithNames());
  ASSERT_TRUE(service.WaitUntilReady());
  service.Limit(RLIMIT_NOFILE, service.Descriptors() + 5);
  for (const std::string prefix : {"near-", "named-"}) {
    platform_.CompleteCallsOfAgents(prefix, 20, prefix, 100);
  }
  ASSERT_TRUE(service.WaitForLog("requeueing a delivery"));
  EXPECT_TRUE(
      platform_.WaitForValue("SELECT count(*) > 0 FROM webhook_deliveries WHERE outcome = 'delivered'", "t"))
      << "the descriptors that are left are used";
  service.Limit(RLIMIT_NOFILE, 1024);
  ASSERT_TRUE(platform_.WaitUntilSettled(60s));
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"delivered", 200}}));
  EXPECT_GT(Requeued(), 0);
  EXPECT_EQ(service.Metric(R"(postcall_local_faults_total{kind="descriptors"})"), Requeued());
  ExpectTheOracleIsContent({}, {&service});
}

// The fault does not end: the delivery is requeued twenty times, once per second, and then it is over.
TEST_F(Machine, OutOfDescriptorsForGoodEndsACallAfterTwentyPauses) {
  endpoint_.Otherwise(Respond(200, "ok", {{"Connection", "close"}}));
  platform_.AddAgent("agent", endpoint_.Url("/hook"));
  const Service service(Run());
  platform_.CompleteCalls("agent", "before-", 1);
  ASSERT_TRUE(platform_.WaitUntilSettled());  // so that the recorder has its connection
  service.Limit(RLIMIT_NOFILE, 3);            // open descriptors stay open, and no other can be opened
  platform_.CompleteCalls("agent", "call-", 1);
  ASSERT_TRUE(service.WaitForLog("requeueing a delivery")) << service.log();
  const SteadyTime start = Steady::now();
  ASSERT_TRUE(platform_.WaitForValue(
      "SELECT outcome FROM webhook_deliveries WHERE call_id = 'call-1' AND outcome <> 'in_flight'",
      "not_sent", 60s))
      << service.log();
  EXPECT_GT(Seconds(Steady::now() - start), 18) << "claiming did not pause";
  service.Limit(RLIMIT_NOFILE, 1024);
  EXPECT_EQ(service.Metric(R"(postcall_local_faults_total{kind="descriptors"})"), 21.0);
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 1U);
  ExpectTheOracleIsContent({}, {&service});
}

// Uses up every local port towards an endpoint.
class NoPorts {
 public:
  explicit NoPorts(std::uint16_t endpoint) {
    PrivateNetwork::LimitLocalPorts(40'000, 40'063);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(endpoint);
    while (true) {
      FileDescriptor taken(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (::connect(taken.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) break;
      // This makes the port free as soon as the descriptor is closed.
      const linger at_once{1, 0};
      ::setsockopt(taken.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
      taken_.push_back(std::move(taken));
    }
    if (errno != EADDRNOTAVAIL) throw std::runtime_error("the local ports cannot be taken");
  }
  ~NoPorts() { PrivateNetwork::LimitLocalPorts(32'768, 60'999); }
  NoPorts(const NoPorts&) = delete;
  NoPorts& operator=(const NoPorts&) = delete;

  void Release() { taken_.clear(); }

 private:
  std::vector<FileDescriptor> taken_;
};

TEST_F(Machine, OutOfPortsTowardsAnEndpointOnlyThatEndpointWaits) {
  const HostileEndpoint other;
  platform_.AddAgent("agent", endpoint_.Url("/hook"));
  CountRequeues();
  platform_.AddAgent("other", other.Url("/hook"));
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  int delivered = 0;
  // How long twenty calls to the other endpoint take, one after the other.
  const auto seconds_for_twenty = [&] {
    const SteadyTime start = Steady::now();
    for (int call = 0; call < 20; ++call) {
      platform_.CompleteCalls("other", "other-" + std::to_string(++delivered) + "-", 1);
      EXPECT_TRUE(platform_.WaitForValue(
          "SELECT count(*) FROM webhook_deliveries WHERE outcome = 'delivered'", std::to_string(delivered)));
    }
    return Seconds(Steady::now() - start);
  };
  const double normal = seconds_for_twenty();
  NoPorts none(endpoint_.port());
  platform_.CompleteCalls("agent", "agent-", 10);
  ASSERT_TRUE(service.WaitForLog("requeueing a delivery"));
  // If each fault paused all claiming for a second, they would take twenty seconds more.
  EXPECT_LT(seconds_for_twenty(), 2 * normal + 8);
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE agent_id = 'agent'"
                            " AND outcome <> 'in_flight'"),
            "0");
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0U);
  none.Release();
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"delivered", 50}}));
  EXPECT_GT(Requeued(), 0);
  EXPECT_EQ(service.Metric(R"(postcall_local_faults_total{kind="ports"})"), Requeued());
  ExpectTheOracleIsContent({}, {&service}, {&other});
}

// This happens when the database was away for so long that other dispatchers count this one as dead.
TEST_F(Machine, OutOfPortsSaysThatNothingWasSentEvenWhenTheCallsHaveBecomeUnknown) {
  platform_.AddAgent("agent", endpoint_.Url("/hook"));
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.Query(
      "CREATE TABLE refusing AS SELECT; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
      " IF EXISTS (SELECT FROM refusing) THEN RAISE USING ERRCODE = 'lock_not_available'; END IF;"
      " RETURN OLD; END $$");
  platform_.Query(
      "CREATE TRIGGER refuse BEFORE DELETE ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION refuse()");
  NoPorts none(endpoint_.port());
  platform_.CompleteCalls("agent", "agent-", 1);
  ASSERT_TRUE(service.WaitForLog("recording outcomes failed")) << "they cannot be requeued";
  platform_.Query("UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now(), error = 'gone'");
  platform_.Query("DELETE FROM refusing");
  EXPECT_TRUE(
      platform_.WaitForValue("SELECT outcome || ' ' || reached FROM webhook_deliveries", "not_sent nothing"));
}

// The whole claim fails, and its rows stay in the outbox.
TEST_F(Machine, WithNoMemoryForLargeCallsSendsThemOnceThereIsMemory) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer takes address space as it likes";
  AddAgents("agent-", 20, endpoint_.Url("/hook"));
  Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  service.Limit(RLIMIT_AS, service.AddressSpace() + (std::uint64_t{16} << 20));
  platform_.Query(
      "INSERT INTO calls (id, agent_id, status)"
      " SELECT 'call-' || n, 'agent-' || n, 'in_progress' FROM generate_series(1, 20) AS n");
  platform_.Query(
      "INSERT INTO call_analysis (call_id, summary)"
      " SELECT 'call-' || n, repeat('x', 6000000) FROM generate_series(1, 20) AS n");
  platform_.Query("UPDATE calls SET status = 'completed'");
  ASSERT_TRUE(service.WaitForLog("nothing new is sent until"));
  EXPECT_EQ(service.Wait(0ms), std::nullopt) << service.log();
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0U);
  service.Limit(RLIMIT_AS, RLIM_INFINITY);
  ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"delivered", 20}}));
  ExpectTheOracleIsContent({}, {&service});
}

// When there is no memory for anything, the process may end. The calls that it had claimed are then not sent,
// and the process that is started next sends all others.
TEST_F(Machine, WithNoMemoryAtAllBlamesNoEndpointAndLosesNoCall) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer takes address space as it likes";
  endpoint_.Otherwise(Wait(200ms) + Respond(200));
  AddAgents("agent-", 20, endpoint_.Url("/hook"));
  Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  service.Limit(RLIMIT_AS, service.AddressSpace() + (std::uint64_t{8} << 20));
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 1000);
  const bool ended = service.Wait(3s).has_value();
  if (!ended) service.Limit(RLIMIT_AS, RLIM_INFINITY);
  std::optional<Service> next;
  if (ended) next.emplace(Run());
  ExpectTheOracleIsContent({.killed = ended});
  const Counts outcomes = platform_.Outcomes();
  for (const auto& [outcome, count] : outcomes) {
    EXPECT_TRUE(outcome == "delivered" || (ended && outcome == "unknown")) << outcome << ": " << count;
  }
}

TEST_F(Machine, WithAWrongWallClockUsesTheDatabasesTimeAndKeepsEveryDeadline) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer replaces the functions of the clock itself";
  const WrongClock one_hour_ahead("ahead", 1h);
  const WrongClock one_hour_behind("behind", -1h);
  const WrongClock steps("steps");
  endpoint_.On("/hang", Hang());
  endpoint_.On("/ok", Wait(200ms) + Respond(200));
  AddAgents("fast-", 10, endpoint_.Url("/ok"));
  platform_.Query(R"(UPDATE agents SET settings = jsonb_set(settings, '{webhooks,secret}',
                                                            '"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"'))");
  AddAgents("hanging-", 10, endpoint_.Url("/hang"));
  const auto start = std::stod(platform_.Value("SELECT extract(epoch FROM clock_timestamp())"));

  // Four dispatchers run at once, each with ten calls that hang, so that each sees that the others are alive.
  const auto run = [&](const std::string& instance, std::map<std::string, std::string> environment) {
    ServiceOptions options =
        Run({"--instance", instance, "--max-in-flight", "10", "--slow-share", "1", "--log-format", "json"});
    options.environment = std::move(environment);
    return options;
  };
  const Service right(run("right", {}));
  const Service ahead(run("ahead", one_hour_ahead.Environment()));
  const Service behind(run("behind", one_hour_behind.Environment()));
  const Service stepping(run("stepping", steps.Environment()));
  for (const Service* service : {&right, &ahead, &behind, &stepping}) ASSERT_TRUE(service->WaitUntilReady());
  platform_.CompleteCallsOfAgents("fast-", 10, "fast-", 200);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  platform_.CompleteCallsOfAgents("hanging-", 10, "hanging-", 40);
  const std::string hanging = "SELECT count(*) FROM webhook_deliveries WHERE outcome = 'in_flight'";
  ASSERT_TRUE(platform_.WaitForValue(hanging, "40"));
  steps.Set(1h);
  ASSERT_FALSE(platform_.WaitForValue(hanging, "0", 3s)) << "a step of the clock ended a delivery";
  steps.Set(-1h);
  ASSERT_TRUE(platform_.WaitUntilSettled());

  EXPECT_EQ(platform_.Value("SELECT string_agg(line, '; ' ORDER BY line) FROM (SELECT dispatcher || ' ' ||"
                            " outcome || ' ' || least(count(*), 10) AS line FROM webhook_deliveries"
                            " GROUP BY dispatcher, outcome) AS lines"),
            "ahead delivered 10; ahead timeout 10; behind delivered 10; behind timeout 10;"
            " right delivered 10; right timeout 10; stepping delivered 10; stepping timeout 10");
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries"
                            " WHERE outcome = 'timeout' AND total_ms NOT BETWEEN 10000 AND 10250"),
            "0");
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE"
                            " NOT extract(epoch FROM finished_at - claimed_at) * 1000 - total_ms"
                            " BETWEEN -1 AND 1000"),
            "0");
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE NOT (claimed_at >= due_at"
                            " AND finished_at <= clock_timestamp())"),
            "0");
  const auto end = std::stod(platform_.Value("SELECT extract(epoch FROM clock_timestamp())"));
  for (const RequestEntry& request : endpoint_.ledger().Requests()) {
    if (request.path != "/ok") continue;
    const auto timestamp = std::stod(request.Header("webhook-timestamp").value_or("0"));
    EXPECT_TRUE(start - 1 <= timestamp && timestamp <= end) << timestamp - end << " s after the end";
  }

  // This proves that their clocks were wrong: the last line of each log has the time of that dispatcher's
  // clock.
  const auto offset = [&](const Service& service) {
    std::istringstream lines(service.log());
    std::string last;
    for (std::string line; std::getline(lines, line);) last = line;
    return std::stod(platform_.Value("SELECT extract(epoch FROM timestamptz '" +
                                     nlohmann::json::parse(last).at("time").get<std::string>() +
                                     "' - clock_timestamp())"));
  };
  EXPECT_NEAR(offset(right), 0, 60);
  EXPECT_NEAR(offset(ahead), 3600, 60);
  EXPECT_NEAR(offset(behind), -3600, 60);
  EXPECT_NEAR(offset(stepping), -3600, 60);
  ExpectTheOracleIsContent({}, {&right, &ahead, &behind, &stepping});
}

}  // namespace
}  // namespace postcall::test
