// The process is killed, frozen or stopped at the worst moments: no call is sent twice, and none is lost.
#include <csignal>
#include <random>
#include <thread>

#include "tests/support/certificates.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using Outcomes = std::map<std::string, int>;

// This text occurs in the statements of only that transaction.
const std::string kClaim = "INSERT INTO webhook_deliveries";
const std::string kRecord = "r.response_body";

class Process : public SystemTest {
 protected:
  void AddAgents(int count) {
    for (int agent = 1; agent <= count; ++agent) {
      platform_.AddAgent("agent-" + std::to_string(agent), endpoint_.Url("/hook"));
    }
  }
};

// One moment of a delivery at which its dispatcher is killed, in a database of its own. Rows of a dead
// dispatcher are recognized after 30 s, so the test waits for all moments together.
class KilledAt {
 public:
  using Arm = std::function<void(KilledAt&)>;

  KilledAt(std::string name, EndpointOptions endpoint, const Arm& arm, Outcomes expected, std::size_t sent)
      : name_(std::move(name)), endpoint_(std::move(endpoint)), expected_(std::move(expected)), sent_(sent) {
    Platform platform(database_url_);
    platform.AddAgent("agent", endpoint_.Url("/hook"));
    victim_ = Start("postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" +
                    platform.Value("SELECT current_database()"));
    EXPECT_TRUE(victim_->WaitUntilReady()) << name_;
    arm(*this);
    platform.CompleteCalls("agent", "call-", 1);
    EXPECT_EQ(victim_->Wait(20s), 128 + SIGKILL) << name_ << victim_->log();
  }

  // Any thread.
  void Kill() {
    if (!killed_.exchange(true)) victim_->Signal(SIGKILL);
  }
  HostileEndpoint& endpoint() { return endpoint_; }

  void StartSuccessor() {
    endpoint_.OnConnection(ConnectionScript{});
    endpoint_.Otherwise(Respond(200));
    successor_ = Start(database_url_);
  }

  void Judge() {
    const Oracle oracle(database_url_, {&endpoint_.ledger()});
    EXPECT_TRUE(oracle.WaitUntilSettled()) << name_;
    EXPECT_THAT(oracle.Violations({.killed = true}), ::testing::IsEmpty()) << name_;
    EXPECT_EQ(Platform(database_url_).Outcomes(), expected_) << name_;
    EXPECT_EQ(endpoint_.ledger().RequestCount(), sent_) << name_;
  }

  TcpProxy proxy{SharedPostgres().port()};

 private:
  std::unique_ptr<Service> Start(const std::string& url) const {
    return std::make_unique<Service>(
        ServiceOptions{.arguments = {"--database-url", url, "--admin-listen", "127.0.0.1:0", "--egress-allow",
                                     "127.0.0.0/8", "--ca-file", Authority().ca_file().string()}});
  }

 public:
  static const CertificateAuthority& Authority() {
    static const CertificateAuthority authority;
    return authority;
  }

 private:
  const std::string name_;
  const std::string database_url_ = SharedPostgres().CreateMigratedDatabase();
  std::atomic<bool> killed_ = false;
  HostileEndpoint endpoint_;
  const Outcomes expected_;
  const std::size_t sent_;
  std::unique_ptr<Service> victim_;
  std::unique_ptr<Service> successor_;
};

TEST_F(Process, KilledAtEachMomentOfADeliveryEveryCallIsAccountedForAfterTheNextStart) {
  const auto at_commit = [](CommitFault fault, const std::string& of) {
    return [=](KilledAt& moment) { moment.proxy.FailNextCommit(fault, of, [&] { moment.Kill(); }); };
  };
  const EndpointOptions tls{.tls = TlsOptions{KilledAt::Authority().Issue({"127.0.0.1"})}};
  const Outcomes sent_by_the_next = {{"delivered", 1}};
  const Outcomes never_known = {{"unknown", 1}};
  std::vector<std::unique_ptr<KilledAt>> moments;
  const auto add = [&](auto&&... arguments) {
    moments.push_back(std::make_unique<KilledAt>(std::forward<decltype(arguments)>(arguments)...));
  };
  add("before the claim's commit", EndpointOptions{}, at_commit(CommitFault::kCutBeforeRequest, kClaim),
      sent_by_the_next, 1U);
  add("after the claim's commit", EndpointOptions{}, at_commit(CommitFault::kCutBeforeAnswer, kClaim),
      never_known, 0U);
  add(
      "before the send", tls,
      [](KilledAt& moment) {
        moment.endpoint().OnConnection([&](std::size_t) {
          moment.Kill();
          return ConnectionScript{.at_accept = Hang()};
        });
      },
      never_known, 0U);
  add(
      "after the send", EndpointOptions{},
      [](KilledAt& moment) {
        moment.endpoint().Otherwise([&](const RequestEntry&) {
          moment.Kill();
          return Hang();
        });
      },
      never_known, 1U);
  add("before the record's commit", EndpointOptions{}, at_commit(CommitFault::kCutBeforeRequest, kRecord),
      never_known, 1U);
  add("after the record's commit", EndpointOptions{}, at_commit(CommitFault::kCutBeforeAnswer, kRecord),
      sent_by_the_next, 1U);
  for (const auto& moment : moments) moment->StartSuccessor();
  for (const auto& moment : moments) moment->Judge();
}

TEST_F(Process, KilledAtRandomMomentsUnderLoad) {
  constexpr int kKills = 15;
  AddAgents(20);
  endpoint_.Otherwise(Wait(20ms) + Respond(200));
  std::mt19937 random(::testing::UnitTest::GetInstance()->random_seed());
  // Requests of a run that have arrived when it is killed: its progress says when, not a clock, which a slow
  // machine would outrun.
  std::uniform_int_distribution<std::size_t> requests(1, 180);
  std::uniform_int_distribution<int> milliseconds(0, 30);
  for (int kill = 0; kill < kKills; ++kill) {
    platform_.CompleteCallsOfAgents("agent-", 20, "call-" + std::to_string(kill) + "-", 200);
    const std::size_t seen = endpoint_.ledger().RequestCount();
    Service service(Run());
    ASSERT_TRUE(endpoint_.ledger().WaitForRequests(seen + requests(random)));
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds(random)));  // a random moment
    service.Signal(SIGKILL);
    ASSERT_EQ(service.Wait(5s), 128 + SIGKILL);
  }
  const Service last(Run());
  ExpectTheOracleIsContent({.killed = true});
}

TEST_F(Process, ThreeAtOnceAndOneIsKilled) {
  AddAgents(20);
  endpoint_.Otherwise(Wait(100ms) + Respond(200));
  const Service first(Run());
  const Service second(Run());
  Service third(Run({"--instance", "third", "--database-url", database_url_ + "&application_name=third"}));
  ASSERT_TRUE(third.WaitUntilReady());
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 3000);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(500));
  third.Signal(SIGKILL);
  // When the server has no session of it any more, its rows that are in flight stay in flight.
  ASSERT_TRUE(
      platform_.WaitForValue("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                             "application_name = 'third'",
                             "0"));
  const std::string in_flight = platform_.Value(
      "SELECT count(*) FROM webhook_deliveries WHERE outcome = 'in_flight' AND dispatcher = 'third'");
  ExpectTheOracleIsContent({.killed = true});
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'unknown'"), in_flight);
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries"
                            " WHERE outcome = 'unknown' AND dispatcher <> 'third'"),
            "0");
}

// The other dispatcher counts it as dead. After it continues, it does not send the calls that it has claimed,
// and it still records the outcomes of its POSTs.
TEST_F(Process, FrozenForLongItSendsNothingLateAndRecordsItsOutcomes) {
  AddAgents(10);
  std::atomic<int> hanging = 100;
  endpoint_.Otherwise(
      [&](const RequestEntry&) { return hanging-- > 0 ? Wait(2s) + Respond(200) : Respond(200); });
  platform_.CompleteCallsOfAgents("agent-", 10, "call-", 1000);
  const Service frozen(Run({"--max-in-flight", "100", "--slow-share", "1"}));
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(100));
  frozen.Freeze();
  const SteadyTime freeze = Steady::now();
  const Service other(Run());
  // No row is in flight any more: those of the frozen dispatcher are `unknown`, all others are delivered.
  ASSERT_TRUE(Oracle(database_url_, {}).WaitUntilSettled(60s));
  // Waits until every limit of the server and the kernel for its sessions has passed as well.
  std::this_thread::sleep_until(freeze + 90s);  // the test needs this long pause
  const int unknown = platform_.Outcomes()["unknown"];
  EXPECT_GE(unknown, 1);
  EXPECT_LE(unknown, 100);
  frozen.Signal(SIGCONT);
  ASSERT_TRUE(
      platform_.WaitForValue("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'unknown'", "0", 30s));
  EXPECT_EQ(frozen.Metric("postcall_unknown_resolved_total"), unknown);
  ExpectTheOracleIsContent({.stopped = true}, {&frozen, &other});
  platform_.CompleteCallsOfAgents("agent-", 10, "more-", 100);
  ExpectTheOracleIsContent({.stopped = true}, {&frozen, &other});
}

// The claim is committed, but before the dispatcher learns of it the other one has set its rows to `unknown`.
TEST_F(Process, FrozenBetweenItsClaimAndTheSendItSendsNoRowThatBecameUnknown) {
  AddAgents(1);
  TcpProxy proxy(SharedPostgres().port());
  const Service frozen(Run({"--database-url", Through(proxy, database_url_)}));
  ASSERT_TRUE(frozen.WaitUntilReady());
  proxy.FailNextCommit(CommitFault::kPass, kClaim, [&] { frozen.Freeze(); });
  platform_.CompleteCalls("agent-1", "call-", 1);
  ASSERT_TRUE(proxy.WaitForFaults(1));
  const Service other(Run());
  const std::string outcome = "SELECT outcome FROM webhook_deliveries";
  ASSERT_TRUE(platform_.WaitForValue(outcome, "unknown", 60s));
  frozen.Signal(SIGCONT);
  EXPECT_TRUE(platform_.WaitForValue(outcome, "not_sent"));
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0U);
  // The answer had arrived: the time in which the dispatcher was frozen does not count as waiting.
  EXPECT_THAT(frozen.log(), ::testing::Not(::testing::HasSubstr("commit is in doubt")));
  ExpectTheOracleIsContent({}, {&frozen, &other});
}

TEST_F(Process, SigtermUnderFullLoadEndsItInTimeWithNoRowInFlight) {
  AddAgents(40);
  endpoint_.Otherwise([](const RequestEntry& request) {
    return request.number % 3 == 0   ? Hang()
           : request.number % 3 == 1 ? Wait(3s) + Respond(200)
                                     : Respond(200);
  });
  platform_.CompleteCallsOfAgents("agent-", 40, "call-", 5000);
  Service service(
      Run({"--max-in-flight", "1000", "--max-in-flight-per-endpoint", "1000", "--slow-share", "1"}));
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(1000));
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(11s), 0) << service.log();
  EXPECT_EQ(platform_.Outcomes().count("in_flight"), 0U);
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_dispatchers"), "0")
      << "a clean exit removes its row";
  endpoint_.Otherwise(Respond(200));
  const Service next(Run());
  ExpectTheOracleIsContent();
  EXPECT_EQ(platform_.Outcomes().count("unknown"), 0U);
}

// Its first outcome comes when too little time is left to connect to the database.
TEST_F(Process, StoppedBeforeItsFirstOutcomeItRecordsIt) {
  AddAgents(1);
  endpoint_.Otherwise(Wait(9500ms) + Respond(200));
  Service service(Run());
  platform_.CompleteCalls("agent-1", "call-", 1);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(1));
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(11s), 0) << service.log();
  EXPECT_EQ(platform_.Outcomes(), (Outcomes{{"delivered", 1}}));
}

TEST_F(Process, ThatLosesItsConnectionsWhileItStopsStillRecords) {
  AddAgents(1);
  endpoint_.Otherwise(Respond(200));
  Service service(Run());
  platform_.CompleteCalls("agent-1", "call-", 1);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  endpoint_.Otherwise(Wait(9500ms) + Respond(200));
  platform_.CompleteCalls("agent-1", "slow-", 1);
  ASSERT_TRUE(endpoint_.ledger().WaitForRequests(2));
  service.Signal(SIGTERM);
  ASSERT_TRUE(service.WaitForLog("stopping"));
  std::this_thread::sleep_for(1s);  // the loss must be during the stop
  EXPECT_GE(platform_
                .Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                       " WHERE datname = current_database() AND application_name = 'postcall-dispatcher'")
                .size(),
            1);
  EXPECT_EQ(service.Wait(11s), 0) << service.log();
  EXPECT_EQ(platform_.Outcomes(), (Outcomes{{"delivered", 2}}));
}

// No call is in flight at that time, and the migration is rolled back.
TEST_F(Process, StoppedWhileItStillMigratesEndsAtOnce) {
  const std::string url = SharedPostgres().CreateDatabase();
  Platform platform(url);
  platform.Query("SELECT pg_advisory_lock(7225613918041233)");  // another migration would have this lock
  Service service(Run({"--database-url", url, "--migrate"}));
  ASSERT_TRUE(platform.WaitForValue("SELECT count(*) FROM pg_locks WHERE NOT granted", "1"));
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(5s), 0) << service.log();
  EXPECT_THAT(service.log(), ::testing::Not(::testing::HasSubstr("started")));
  platform.Query("SELECT pg_advisory_unlock(7225613918041233)");
  EXPECT_EQ(platform.Value("SELECT count(*) FROM pg_class WHERE relname LIKE 'webhook%'"), "0");
}

}  // namespace
}  // namespace postcall::test
