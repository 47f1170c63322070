// Faults of name servers affect only deliveries to that name. The tests use real public addresses, which
// endpoints in a network of the test's own have.
#include <algorithm>
#include <iostream>
#include <thread>

#include "tests/support/closed_ports.h"
#include "tests/support/own_hosts.h"
#include "tests/system/private_network_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

constexpr char kPublic[] = "93.184.216.34";
constexpr char kOtherPublic[] = "93.184.216.35";
constexpr char kPrivate[] = "10.0.0.1";

class Names : public PrivateNetworkTest {
 protected:
  using Kind = NameAnswer::Kind;

  void Script(const std::string& name, std::vector<NameAnswer> answers) {
    names_->server().Script(name, std::move(answers));
  }
  void Script(const std::string& name, Kind kind) { Script(name, {NameAnswer::Of(kind)}); }

  // Completes one call of an agent whose webhook has that host; the agent's id is the host.
  void Call(const std::string& host, std::uint16_t port, const std::string& call = "1") {
    if (platform_.Value("SELECT count(*) FROM agents WHERE id = '" + host + "'") == "0") {
      platform_.AddAgent(host, "http://" + host + ":" + std::to_string(port) + "/");
    }
    platform_.CompleteCalls(host, host + "-" + call + "-", 1);
  }

  std::string Of(const std::string& host, const std::string& what) {
    return platform_.Value("SELECT " + what + " FROM webhook_deliveries WHERE agent_id = '" + host +
                           "' ORDER BY finished_at DESC LIMIT 1");
  }

  // The time from due to the start of the POST, for calls with that prefix.
  double DispatchLatencyP99InMs(const std::string& prefix) {
    return std::stod(
        platform_.Value("SELECT 1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY"
                        " extract(epoch FROM finished_at - due_at) - total_ms / 1000.0)"
                        " FROM webhook_deliveries WHERE starts_with(call_id, '" +
                        prefix + "')"));
  }

  // Answers at every address, at one port.
  HostileEndpoint everywhere_{{.address = "::"}};
};

TEST_F(Names, ThatCannotBeResolvedCauseDnsErrorsWithinTheDeadline) {
  Script("silent.example", Kind::kSilence);
  Script("broken.example", Kind::kServerFailure);
  Script("refused.example", Kind::kRefused);
  Script("garbled.example", Kind::kGarbage);
  Script("empty.example", {NameAnswer::NoData()});
  const std::vector<std::pair<std::string, std::string>> sentences = {
      {"silent.example", "The name servers did not answer."},
      {"broken.example", "The name servers gave no usable answer."},
      {"refused.example", "The name servers gave no usable answer."},
      {"garbled.example", ""},
      {"empty.example", "The host name has no address."},
      {"missing.example", "The host name does not exist."},
  };
  const std::uint64_t before = PrivateNetwork::ConnectionsBegun();
  const Service service(RunWithNames());
  for (const auto& [host, sentence] : sentences) Call(host, everywhere_.port());
  ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  for (const auto& [host, sentence] : sentences) {
    EXPECT_EQ(Of(host, "outcome"), "dns_error") << host;
    EXPECT_EQ(Of(host, "reached"), "nothing") << host;
    EXPECT_EQ(Of(host, "remote_address IS NULL AND connect_ms IS NULL AND total_ms < 10000"), "t") << host;
    if (!sentence.empty()) {
      EXPECT_EQ(Of(host, "error"), sentence) << host;
    }
  }
  EXPECT_EQ(PrivateNetwork::ConnectionsBegun(), before);
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_});
}

TEST_F(Names, OfPrivateAddressesAreBlockedWithoutAConnection) {
  Script("private.example", {NameAnswer::Addresses({kPrivate})});
  Script("private-six.example", {NameAnswer::Addresses({"fd00::1"})});
  Script("partly.example", {NameAnswer::Addresses({kPublic, kPrivate})});
  Script("partly-six.example", {NameAnswer::Addresses({kPublic, "::1"})});
  NameAnswer alias = NameAnswer::Addresses({kPrivate});
  alias.alias = "elsewhere.example";
  Script("alias.example", {alias});
  const std::uint64_t before = PrivateNetwork::ConnectionsBegun();
  const Service service(RunWithNames());
  const std::vector<std::string> hosts = {"private.example", "private-six.example", "partly.example",
                                          "partly-six.example", "alias.example"};
  for (const std::string& host : hosts) Call(host, everywhere_.port());
  ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  for (const std::string& host : hosts) {
    EXPECT_EQ(Of(host, "outcome"), "blocked") << host << ": " << Of(host, "error");
    EXPECT_EQ(Of(host, "error").find(kPrivate), std::string::npos) << "an internal address";
  }
  EXPECT_EQ(PrivateNetwork::ConnectionsBegun(), before);
  EXPECT_EQ(everywhere_.ledger().ConnectionCount(), 0U);
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_});
}

// DNS rebinding. The connection of the first call is still open, and must not serve the second either.
TEST_F(Names, ThatBecomePrivateAreBlockedFromThenOn) {
  Script("rebinding.example", {NameAnswer::Addresses({kPublic}, 0), NameAnswer::Addresses({kPrivate}, 0)});
  const Service service(RunWithNames());
  const std::uint64_t before = PrivateNetwork::ConnectionsBegun();
  Call("rebinding.example", everywhere_.port(), "first");
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(Of("rebinding.example", "outcome || ' ' || host(remote_address)"),
            std::string("delivered ") + kPublic);
  Call("rebinding.example", everywhere_.port(), "second");
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(Of("rebinding.example", "outcome"), "blocked");
  EXPECT_EQ(PrivateNetwork::ConnectionsBegun(), before + 1);
  EXPECT_EQ(everywhere_.ledger().RequestCount(), 1U);
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_});
}

TEST_F(Names, WithADeadAndThenAGoodAddressAreDelivered) {
  const FullBacklog deaf(kOtherPublic);
  const HostileEndpoint behind_deaf({.address = kPublic, .port = deaf.port()});
  const HostileEndpoint behind_dead({.address = kPublic});  // its port is closed at other addresses
  Script("dead.example", {NameAnswer::Addresses({kOtherPublic, kPublic})});
  Script("deaf.example", {NameAnswer::Addresses({kOtherPublic, kPublic})});
  const Service service(RunWithNames());
  Call("dead.example", behind_dead.port());
  Call("deaf.example", behind_deaf.port());
  ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  for (const std::string host : {"dead.example", "deaf.example"}) {
    EXPECT_EQ(Of(host, "outcome || ' ' || host(remote_address)"), std::string("delivered ") + kPublic)
        << host << ": " << Of(host, "error");
  }
  // After a refusal the next address is tried at once, after silence in two seconds.
  EXPECT_EQ(Of("dead.example", "total_ms < 2000"), "t") << Of("dead.example", "total_ms");
  EXPECT_EQ(Of("deaf.example", "total_ms BETWEEN 2000 AND 4000"), "t") << Of("deaf.example", "total_ms");
  ExpectTheOracleIsContent({}, {&service}, {&behind_deaf, &behind_dead});
}

TEST_F(Names, OfIpv6OnlyAreDelivered) {
  Script("six.example", {NameAnswer::Addresses({"2606:2800:220:1::1"})});
  const Service service(RunWithNames());
  Call("six.example", everywhere_.port());
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(Of("six.example", "outcome || ' ' || host(remote_address)"), "delivered 2606:2800:220:1::1");
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_});
}

// This is so whether DNS has other addresses for them, private ones, or does not answer.
TEST_F(Names, InTheHostsFileAreAnsweredByThatFileAlone) {
  constexpr char kSix[] = "2606:2800:220:1::1";
  const OwnHosts hosts(std::string(kSix) + " six.example\n" + kPublic + " Silent.Example refusing.example\n" +
                       kPublic + " dns-private.example\n" + kPublic + " pinned-private.example\n" + kPrivate +
                       " pinned-private.example\n");
  const HostileEndpoint at_six_only({.address = kSix});
  Script("six.example", {NameAnswer::Addresses({kPublic})});
  Script("silent.example", Kind::kSilence);
  Script("refusing.example", {NameAnswer::Addresses({kSix})});
  Script("dns-private.example", {NameAnswer::Addresses({"fd00::1"})});
  Script("pinned-private.example", {NameAnswer::Addresses({kPublic})});
  ServiceOptions options = RunWithNames();
  options.hosts = hosts.path();
  const Service service(options);
  Call("six.example", everywhere_.port());
  Call("silent.example", everywhere_.port());
  Call("refusing.example", at_six_only.port());
  Call("dns-private.example", everywhere_.port());
  Call("pinned-private.example", everywhere_.port());
  ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  const std::string what = "outcome || ' ' || coalesce(host(remote_address), '-')";
  EXPECT_EQ(Of("six.example", what), std::string("delivered ") + kSix);
  EXPECT_EQ(Of("silent.example", what), std::string("delivered ") + kPublic);
  EXPECT_EQ(Of("silent.example", "total_ms < 1000"), "t") << Of("silent.example", "total_ms");
  EXPECT_EQ(Of("refusing.example", "outcome"), "connect_error");
  EXPECT_EQ(at_six_only.ledger().ConnectionCount(), 0U);
  EXPECT_EQ(Of("dns-private.example", what), std::string("delivered ") + kPublic);
  EXPECT_EQ(Of("pinned-private.example", "outcome"), "blocked");
  EXPECT_TRUE(names_->server().Queries().empty()) << "the dispatcher asked DNS";
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_, &at_six_only});
}

// With so many addresses the answer comes by TCP, which is one more connection, to the name server.
TEST_F(Names, WithThreeHundredAddressesAreCheckedAtEachAndTriedToTheLast) {
  std::vector<std::string> addresses;
  for (int i = 0; i < 300; ++i) {
    addresses.push_back("93.184." + std::to_string(100 + i / 100) + "." + std::to_string(1 + i % 100));
  }
  const HostileEndpoint at_the_last({.address = addresses.back()});
  Script("many.example", {NameAnswer::Addresses(addresses)});
  Script("many-dead.example", {NameAnswer::Addresses(addresses)});
  addresses.back() = kPrivate;
  Script("many-bad.example", {NameAnswer::Addresses(addresses)});
  const Service service(RunWithNames());
  const auto begun_by = [&](const std::string& host, std::uint16_t port) {
    const std::uint64_t before = PrivateNetwork::ConnectionsBegun();
    Call(host, port);
    EXPECT_TRUE(platform_.WaitUntilSettled(20s));
    const auto queries = names_->server().Queries();
    const auto by_tcp = std::ranges::count_if(
        queries, [&](const NameQuery& query) { return query.tcp && query.name == host; });
    EXPECT_EQ(by_tcp, 1) << host;
    return PrivateNetwork::ConnectionsBegun() - before - static_cast<std::uint64_t>(by_tcp);
  };
  EXPECT_EQ(begun_by("many.example", everywhere_.port()), 1U);
  EXPECT_EQ(Of("many.example", "outcome"), "delivered") << Of("many.example", "error");
  EXPECT_EQ(begun_by("many-dead.example", at_the_last.port()), 300U);
  EXPECT_EQ(Of("many-dead.example", "outcome"), "delivered") << Of("many-dead.example", "error");
  EXPECT_EQ(begun_by("many-bad.example", everywhere_.port()), 0U);
  EXPECT_EQ(Of("many-bad.example", "outcome"), "blocked");
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_, &at_the_last});
}

TEST_F(Names, ThatNeverAnswerDelayNoOther) {
  constexpr int kGoodAgents = 20;
  constexpr int kGroups = 20;  // each of 50 agents, whose names are never answered
  constexpr int kTicks = 60;   // each of 100 ms
  for (int agent = 1; agent <= kGoodAgents; ++agent) {
    const std::string host = "good-" + std::to_string(agent) + ".example";
    Script(host, {NameAnswer::Addresses({"93.184.217." + std::to_string(agent)}, 1)});
    platform_.AddAgent("good-" + std::to_string(agent), everywhere_.Url("/", host));
  }
  std::vector<std::string> silent;
  for (int group = 0; group < kGroups; ++group) {
    for (int agent = 1; agent <= 50; ++agent) {
      silent.push_back("silent-" + std::to_string(group) + "-" + std::to_string(agent));
      Script(silent.back() + ".example", Kind::kSilence);
    }
  }
  for (const std::string& agent : silent) {
    platform_.AddAgent(agent, everywhere_.Url("/", agent + ".example"));
  }
  const Service service(RunWithNames());
  ASSERT_TRUE(service.WaitUntilReady());

  // The clock sets the rate: 400 good calls per second, and in the second round also one call every two
  // seconds for each of the 1,000 silent names. At twice that rate 2,000 would be in flight, which is all
  // slots, before the first of them has taken a second and its agent counts as slow.
  const auto offer = [&](const std::string& prefix, bool with_silent) {
    const SteadyTime start = Steady::now();
    for (int tick = 0; tick < kTicks; ++tick) {
      std::this_thread::sleep_until(start + tick * 100ms);
      const std::string round = std::to_string(tick) + "-";
      platform_.CompleteCallsOfAgents("good-", kGoodAgents, prefix + round, 40);
      if (!with_silent) continue;
      const std::string group = "silent-" + std::to_string(tick % kGroups) + "-";
      platform_.CompleteCallsOfAgents(group, 50, group + round, 50);
    }
    EXPECT_TRUE(platform_.WaitForValue(
        "SELECT count(*) FROM webhook_deliveries WHERE outcome = 'delivered' AND starts_with(call_id, '" +
            prefix + "')",
        std::to_string(kTicks * 40)));
  };
  offer("before-", false);
  offer("beside-", true);
  EXPECT_GE(std::stoi(platform_.Value("SELECT count(DISTINCT agent_id) FROM webhook_deliveries"
                                      " WHERE outcome IN ('in_flight', 'dns_error')")),
            1000)
      << "the names were not silent at the same time";
  for (const std::string& agent : silent) Script(agent + ".example", Kind::kNoSuchName);  // ends the silence
  EXPECT_TRUE(platform_.WaitUntilSettled(60s));
  offer("after-", false);

  // The other load of the machine varies, so the normal latency is the larger of two measurements.
  const double normal = std::max(DispatchLatencyP99InMs("before-"), DispatchLatencyP99InMs("after-"));
  const double beside = DispatchLatencyP99InMs("beside-");
  std::cout << "p99 of dispatch latency: " << normal << " ms, beside silent names " << beside << " ms\n";
  // The minimum: an idle dispatcher polls every 100 ms. The two shared CPUs also run this test, the name
  // server and PostgreSQL, and the names do not cause the cost of its 500 more rows per second.
  constexpr double kNoiseInMs = 100;
  EXPECT_LE(beside, std::max(2 * normal, normal + kNoiseInMs)) << "normal is " << normal << " ms";
  EXPECT_EQ(platform_.Value("SELECT string_agg(DISTINCT outcome, ' ') FROM webhook_deliveries"
                            " WHERE starts_with(agent_id, 'silent-')"),
            "dns_error");
  EXPECT_EQ(service.log().find("the network is down"), std::string::npos);
  ExpectTheOracleIsContent({}, {&service}, {&everywhere_});
}

}  // namespace
}  // namespace postcall::test
