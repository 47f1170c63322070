// A name that is in the hosts file is resolved from that file alone, in each family (CONTRACT §2).
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "tests/integration/http/poster.h"
#include "tests/support/closed_ports.h"
#include "tests/support/hostile_endpoint.h"
#include "tests/support/name_server.h"
#include "tests/support/own_hosts.h"

namespace postcall::test {
namespace {

using Kind = NameAnswer::Kind;

class Hosts : public testing::Test {
 protected:
  DeliveryResult PostTo(const std::string& host, std::uint16_t port) {
    return poster_.Send("http://" + host + ":" + std::to_string(port) + "/").result;
  }

  NameServer names_;
  OwnHosts hosts_{
      "::1 six.test\n"
      "127.0.0.1 four.test silent.test private.test\n"
      "127.0.0.2 changing.test\n"
      "127.0.0.1 partly.test\n"
      "10.0.0.1 partly.test\n"
      "127.0.0.2 two.test\n"
      "127.0.0.3 two.test\n"};
  Poster poster_{{.name_servers = names_.address(), .hosts_file = hosts_.path()}};
};

TEST_F(Hosts, OfIpv6OnlyAreNotLookedUpInDns) {
  names_.Script("six.test", NameAnswer::Addresses({"127.0.0.2"}));
  const HostileEndpoint pinned({.address = "::1"});
  // Not on 127.0.0.1, where another process may use this port.
  const HostileEndpoint elsewhere({.address = "127.0.0.2", .port = pinned.port()});
  const DeliveryResult result = PostTo("six.test", pinned.port());
  EXPECT_EQ(result.outcome, Outcome::kDelivered) << result.error;
  EXPECT_EQ(result.remote_address, "::1");
  EXPECT_EQ(elsewhere.ledger().ConnectionCount(), 0U);
  EXPECT_TRUE(names_.Queries().empty());
}

TEST_F(Hosts, ThatRefuseAreNotReplacedByAddressesOfDns) {
  names_.Script("four.test", NameAnswer::Addresses({"::1"}));
  const HostileEndpoint elsewhere({.address = "::1"});
  const DeliveryResult result = PostTo("four.test", elsewhere.port());
  EXPECT_EQ(result.outcome, Outcome::kConnectError);
  EXPECT_EQ(elsewhere.ledger().ConnectionCount(), 0U);
  EXPECT_TRUE(names_.Queries().empty());
}

TEST_F(Hosts, CostNothingWhenNameServersAreSilent) {
  names_.Script("silent.test", NameAnswer::Of(Kind::kSilence));
  const HostileEndpoint endpoint;
  const DeliveryResult result = PostTo("silent.test", endpoint.port());
  EXPECT_EQ(result.outcome, Outcome::kDelivered);
  EXPECT_LT(result.times.total, 1000);
  EXPECT_TRUE(names_.Queries().empty());
}

TEST_F(Hosts, AreNotBlockedByAPrivateAddressInDns) {
  names_.Script("private.test", NameAnswer::Addresses({"fd00::1"}));
  const HostileEndpoint endpoint;
  EXPECT_EQ(PostTo("private.test", endpoint.port()).outcome, Outcome::kDelivered);
}

TEST_F(Hosts, WithOneForbiddenAddressAreBlocked) {
  const HostileEndpoint endpoint;
  EXPECT_EQ(PostTo("partly.test", endpoint.port()).outcome, Outcome::kBlocked);
  EXPECT_EQ(endpoint.ledger().ConnectionCount(), 0U);
}

TEST_F(Hosts, OfOneNameAreTriedOneAfterTheOtherAndThenTheDeadOneLast) {
  const FullBacklog deaf("127.0.0.2");
  const HostileEndpoint alive({.address = "127.0.0.3", .port = deaf.port()});
  EXPECT_GE(PostTo("two.test", deaf.port()).times.total, 2000);
  EXPECT_LT(PostTo("two.test", deaf.port()).times.total, 1000);
}

TEST_F(Hosts, ThatChangeAreReadAgain) {
  const HostileEndpoint endpoint({.address = "127.0.0.1"});
  names_.Script("changing.test", NameAnswer::Addresses({"127.0.0.3"}));
  names_.Script("late.test", NameAnswer::Addresses({"127.0.0.3"}));
  EXPECT_EQ(PostTo("changing.test", endpoint.port()).outcome, Outcome::kConnectError);
  EXPECT_EQ(PostTo("late.test", endpoint.port()).outcome, Outcome::kConnectError);
  hosts_.Write("127.0.0.1 changing.test late.test\n");
  for (const auto* host : {"changing.test", "late.test"}) {
    EXPECT_TRUE(
        poster_.RunUntil([&] { return PostTo(host, endpoint.port()).outcome == Outcome::kDelivered; }, 3s))
        << host;
  }
  hosts_.Remove();
  EXPECT_TRUE(poster_.RunUntil(
      [&] { return PostTo("late.test", endpoint.port()).outcome == Outcome::kConnectError; }, 3s));
}

TEST_F(Hosts, NeedNoLineForLocalhostWhichIsNeverLookedUpInDns) {
  const HostileEndpoint endpoint;
  EXPECT_EQ(PostTo("localhost", endpoint.port()).outcome, Outcome::kDelivered);
  EXPECT_EQ(PostTo("app.localhost", endpoint.port()).outcome, Outcome::kDelivered);
  EXPECT_TRUE(names_.Queries().empty());
}

// An earlier version searched the file line by line, twice for each new name: 0.9 s without any other work.
TEST(HostsFileOfAHundredThousandLines, DoesNotDelayTheLoop) {
  NameServer names;
  const OwnHosts hosts(HostsLines(100'000));
  const HostileEndpoint endpoint;
  Poster poster({.name_servers = names.address(), .hosts_file = hosts.path()});
  Steady::duration longest{};
  SteadyTime last = Steady::now();  // all are looked up in one iteration of the loop
  std::vector<Poster::Pending> pending;
  for (int i = 0; i < 60; ++i) {
    const std::string host = "new-" + std::to_string(i) + ".test";
    names.Script(host, NameAnswer::Addresses({"127.0.0.1"}));
    pending.push_back(poster.Start(endpoint.Url("/", host)));
  }
  ASSERT_TRUE(poster.RunUntil([&] {
    const SteadyTime now = Steady::now();
    longest = std::max(longest, now - std::exchange(last, now));
    return std::ranges::all_of(pending, [](const auto& post) { return post->has_value(); });
  }));
  for (const auto& post : pending) EXPECT_EQ((*post)->result.outcome, Outcome::kDelivered);
  std::cout << "the longest iteration of the loop took " << Milliseconds(longest) << " ms\n";
  EXPECT_LT(longest, 250ms);
}

}  // namespace
}  // namespace postcall::test
