// The machine's own network fails, in a network of the test's own. No call is lost by it, and a fault of one
// endpoint alone counts as that endpoint's (CONTRACT §2, "Our own network down").
#include <csignal>
#include <cstdlib>

#include "tests/support/closed_ports.h"
#include "tests/system/private_network_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

using Counts = std::map<std::string, int>;

// Routes to the internet for the test's network, in which all addresses belong to this machine.
constexpr char kRoutes[] = "local default dev lo table local";

class NetworkDown : public PrivateNetworkTest {
 protected:
  NetworkDown() { CountRequeues(); }

  void TearDown() override {
    for (const std::string family : {"-4", "-6"}) {
      std::system(("ip " + family + " route replace " + kRoutes + " 2>/dev/null").c_str());
      std::system(("ip " + family + " route del default 2>/dev/null").c_str());
    }
  }

  static void Ip(const std::string& command) {
    ASSERT_EQ(std::system(("ip " + command).c_str()), 0) << command;
  }
  static void LoseRoutes() {
    for (const std::string family : {"-4", "-6"}) Ip(family + " route del " + kRoutes);
  }
  static void RestoreRoutes() {
    for (const std::string family : {"-4", "-6"}) Ip(family + " route replace " + kRoutes);
  }

  std::string Address(int agent) const { return "93.184.216." + std::to_string(agent); }
  std::string Name(int agent) const { return "hooks-" + std::to_string(agent) + ".example"; }

  // Adds agents `agent-`1 …, each with an endpoint of its own, given by address or by name.
  void AddAgents(int count, bool named) {
    for (int agent = 1; agent <= count; ++agent) {
      platform_.AddAgent("agent-" + std::to_string(agent),
                         everywhere_.Url("/hook", named ? Name(agent) : Address(agent)));
    }
  }
  void ScriptNames(int count, NameAnswer::Kind kind, std::uint32_t ttl = 60) {
    for (int agent = 1; agent <= count; ++agent) {
      NameAnswer answer = NameAnswer::Of(kind);
      if (kind == NameAnswer::Kind::kAddresses) answer = NameAnswer::Addresses({Address(agent)}, ttl);
      names_->server().Script(Name(agent), answer);
    }
  }

  std::string Finished() { return platform_.Value("SELECT count(finished_at) FROM webhook_deliveries"); }

  // Expects that no call has ended and that the service says why it waits.
  void ExpectWaiting(const Service& service, const std::string& reason) {
    ASSERT_TRUE(service.WaitForLog("the network is down")) << service.log();
    EXPECT_EQ(service.Get("/readyz").status, 503);
    EXPECT_THAT(service.Get("/readyz").body, HasSubstr(reason));
    EXPECT_EQ(service.Get("/healthz").status, 200);
    EXPECT_EQ(Finished(), "0");
  }

  // Expects that all calls are delivered.
  void ExpectDelivered(const Service& service, int count) {
    ASSERT_TRUE(platform_.WaitUntilSettled(40s)) << service.log();
    EXPECT_EQ(platform_.Outcomes(), (Counts{{"delivered", count}}));
    EXPECT_TRUE(service.WaitUntilReady());
    EXPECT_GT(Requeued(), 0);
    EXPECT_EQ(service.Metric(R"(postcall_local_faults_total{kind="network"})"), Requeued());
    ExpectTheOracleIsContent({}, {&service}, {&everywhere_});
  }

  HostileEndpoint everywhere_{{.address = "::"}};
};

TEST_F(NetworkDown, WithoutARouteCallsWait) {
  AddAgents(20, false);
  const Service service(RunWithNames());
  ASSERT_TRUE(service.WaitUntilReady());
  LoseRoutes();
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 800);
  ExpectWaiting(service, "no route");
  ASSERT_TRUE(platform_.WaitForValue("SELECT count(*) >= 799 FROM webhook_outbox", "t"));
  // One probe per second is sent, and no more.
  const double faults = *service.Metric(R"(postcall_local_faults_total{kind="network"})");
  std::this_thread::sleep_for(5s);  // the rate is measured over this time
  EXPECT_LE(*service.Metric(R"(postcall_local_faults_total{kind="network"})") - faults, 7);
  EXPECT_EQ(Finished(), "0");
  EXPECT_EQ(platform_.Value("SELECT max(requeues) FROM webhook_outbox"), "0")
      << "a requeue counted towards the 20";
  RestoreRoutes();
  ExpectDelivered(service, 800);
}

TEST_F(NetworkDown, StartedWithoutARouteItWaits) {
  AddAgents(20, false);
  LoseRoutes();
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 100);
  const Service service(RunWithNames());
  ExpectWaiting(service, "no route");
  RestoreRoutes();
  ExpectDelivered(service, 100);
}

// An operator moves the address to another machine, or the interface loses it for a while.
TEST_F(NetworkDown, WithoutItsSourceAddressCallsWait) {
  AddAgents(20, false);
  everywhere_.Otherwise(Respond(200, "ok", {{"Connection", "close"}}));
  const Service service(RunWithNames({"--source-address", "198.51.100.7"}));
  platform_.CompleteCallsOfAgents("agent-", 20, "before-", 20);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  Ip("-4 route add unreachable 198.51.100.7/32 table local");
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 100);
  ASSERT_TRUE(service.WaitForLog("the network is down")) << service.log();
  EXPECT_EQ(Finished(), "20");
  Ip("-4 route del unreachable 198.51.100.7/32 table local");
  ExpectDelivered(service, 120);
  for (const ConnectionEntry& connection : everywhere_.ledger().Connections())
    EXPECT_EQ(connection.from, "::ffff:198.51.100.7");
}

// One endpoint proves nothing about the network, but the missing address does.
TEST_F(NetworkDown, WithoutItsSourceAddressTheCallsOfOneEndpointWaitToo) {
  AddAgents(1, false);
  platform_.AddAgent("ipv6", everywhere_.Url("/hook", "[2606:2800:220:1::1]"));
  Ip("-4 route add unreachable 198.51.100.7/32 table local");
  const Service service(
      RunWithNames({"--source-address", "198.51.100.7", "--source-address", "2606:2800:220:2::7"}));
  EXPECT_TRUE(service.WaitForLog("this machine does not have its source address")) << service.log();
  platform_.CompleteCalls("agent-1", "call-", 5);
  platform_.CompleteCalls("ipv6", "ipv6-", 5);
  ASSERT_TRUE(platform_.WaitForValue(
      "SELECT count(*) FROM webhook_deliveries WHERE agent_id = 'ipv6' AND outcome = 'delivered'", "5"));
  ASSERT_TRUE(platform_.WaitForValue("SELECT count(*) >= 5 FROM requeued", "t"));
  EXPECT_EQ(Finished(), "5");
  Ip("-4 route del unreachable 198.51.100.7/32 table local");
  ExpectDelivered(service, 10);
}

TEST_F(NetworkDown, WithoutANameServerCallsWait) {
  AddAgents(20, true);
  ScriptNames(20, NameAnswer::Kind::kAddresses);
  names_->PointTo(names_->other_address());  // refuses: there is no server
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 800);
  const Service service(RunWithNames());
  ExpectWaiting(service, "no name server");
  names_->PointTo(names_->server().address().substr(0, names_->server().address().find(':')));
  ExpectDelivered(service, 800);
}

TEST_F(NetworkDown, WithNameServersThatAreSilentCallsWait) {
  AddAgents(20, true);
  ScriptNames(20, NameAnswer::Kind::kSilence);
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 800);
  const Service service(RunWithNames());
  ExpectWaiting(service, "no name server");
  ScriptNames(20, NameAnswer::Kind::kAddresses);
  ExpectDelivered(service, 800);
}

// A name server of this machine can no longer reach its own servers.
TEST_F(NetworkDown, WithNameServersThatFailForEveryNameCallsWait) {
  AddAgents(20, true);
  ScriptNames(20, NameAnswer::Kind::kAddresses, 0);
  const Service service(RunWithNames());
  platform_.CompleteCallsOfAgents("agent-", 20, "before-", 20);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  ScriptNames(20, NameAnswer::Kind::kServerFailure);
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 800);
  ASSERT_TRUE(service.WaitForLog("the network is down")) << service.log();
  EXPECT_EQ(Finished(), "20");
  ScriptNames(20, NameAnswer::Kind::kAddresses);
  ExpectDelivered(service, 820);
}

// Some customers' names are broken, and one customer's name is known and not asked for again.
TEST_F(NetworkDown, IsNotThatSomeNamesAreBroken) {
  platform_.AddAgent("good", everywhere_.Url("/hook", "good.example"));
  names_->server().Script("good.example", NameAnswer::Addresses({Address(200)}, 3600));
  AddAgents(4, true);
  ScriptNames(4, NameAnswer::Kind::kServerFailure);
  const Service service(RunWithNames());
  platform_.CompleteCalls("good", "good-", 1);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  platform_.CompleteCallsOfAgents("agent-", 4, "call-", 40);
  ASSERT_TRUE(platform_.WaitUntilSettled(10s)) << service.log();
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"delivered", 1}, {"dns_error", 40}}));
  EXPECT_EQ(service.log().find("the network is down"), std::string::npos) << service.log();
}

// Where all packets are dropped, connections time out. Endpoints that were reached before show that the fault
// is ours.
TEST_F(NetworkDown, BehindAFirewallThatDropsEverythingCallsWait) {
  AddAgents(5, false);
  everywhere_.Otherwise(Respond(200, "ok", {{"Connection", "close"}}));
  const Service service(RunWithNames({"--timeout-ms", "3000"}));
  platform_.CompleteCallsOfAgents("agent-", 5, "before-", 5);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  Ip("link add hole type veth peer name far");
  Ip("link set far up");
  Ip("link set hole arp off up");
  Ip("address add 198.51.100.1/32 dev hole");
  Ip(std::string("-4 route del ") + kRoutes);
  Ip("-4 route add default dev hole src 198.51.100.1");
  platform_.CompleteCallsOfAgents("agent-", 5, "call-", 50);
  ASSERT_TRUE(service.WaitForLog("the network is down")) << service.log();
  EXPECT_EQ(Finished(), "5");
  Ip(std::string("-4 route replace ") + kRoutes);
  Ip("link del hole");
  ExpectDelivered(service, 55);
}

// This machine has no IPv6, and some customers have nothing else.
TEST_F(NetworkDown, IsNotThatOneFamilyIsMissing) {
  Ip(std::string("-6 route del ") + kRoutes);
  for (int agent = 1; agent <= 4; ++agent) {
    platform_.AddAgent("agent-" + std::to_string(agent),
                       everywhere_.Url("/hook", "[2606:2800:220:1::" + std::to_string(agent) + "]"));
  }
  const Service service(RunWithNames());
  platform_.CompleteCallsOfAgents("agent-", 4, "call-", 40);
  ASSERT_TRUE(platform_.WaitUntilSettled(10s)) << service.log();
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"connect_error", 40}}));
  EXPECT_EQ(service.log().find("the network is down"), std::string::npos) << service.log();
}

// There is no route to one customer's endpoint, while others are reached.
TEST_F(NetworkDown, IsNotThatOneEndpointIsUnreachable) {
  AddAgents(5, false);
  platform_.AddAgent("lost", everywhere_.Url("/hook", "203.0.114.7"));
  Ip("-4 route add unreachable 203.0.114.7/32 table local");
  const Service service(RunWithNames());
  platform_.CompleteCallsOfAgents("agent-", 5, "call-", 50);
  platform_.CompleteCalls("lost", "lost-", 10);
  ASSERT_TRUE(platform_.WaitUntilSettled(10s)) << service.log();
  Ip("-4 route del unreachable 203.0.114.7/32 table local");
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"connect_error", 10}, {"delivered", 50}}));
  EXPECT_EQ(service.Metric(R"(postcall_local_faults_total{kind="network"})"), 0.0);
}

// A stop in an outage requeues the deliveries, and loses no call.
TEST_F(NetworkDown, StoppedDuringItLeavesAllCallsInTheOutbox) {
  AddAgents(20, false);
  LoseRoutes();
  platform_.CompleteCallsOfAgents("agent-", 20, "call-", 100);
  Service service(RunWithNames());
  ExpectWaiting(service, "no route");
  service.Signal(SIGTERM);
  EXPECT_EQ(service.Wait(20s), 0) << service.log();
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_outbox"), "100");
  RestoreRoutes();
  const Service next(RunWithNames());
  ASSERT_TRUE(platform_.WaitUntilSettled(40s));
  EXPECT_EQ(platform_.Outcomes(), (Counts{{"delivered", 100}}));
}

}  // namespace
}  // namespace postcall::test
