// Names are looked up as absolute names and cached no longer than their TTL, and no name server delays other
// deliveries.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <boost/asio/ip/udp.hpp>
#include <thread>

#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"
#include "tests/support/name_server.h"

namespace postcall::test {
namespace {

using Kind = NameAnswer::Kind;
using Type = NameQuery::Type;

class Name : public testing::Test {
 protected:
  http::PostResult PostTo(const std::string& host) { return poster_.Send(endpoint_.Url("/", host)); }

  void ExpectDnsError(const DeliveryResult& result, const std::string& error) {
    EXPECT_EQ(result.outcome, Outcome::kDnsError);
    EXPECT_EQ(result.reached, Reached::kNothing);
    EXPECT_EQ(result.error, error);
    EXPECT_EQ(result.remote_address, "");
    EXPECT_TRUE(result.times.lookup);
  }

  NameServer names_;
  HostileEndpoint endpoint_;
  Poster poster_{{.name_servers = names_.address()}};
};

TEST_F(Name, IsLookedUpAndSentInTheHostHeader) {
  names_.Script("hook.test", NameAnswer::Addresses({"127.0.0.1"}));
  const DeliveryResult result = PostTo("hook.test").result;
  EXPECT_EQ(result.outcome, Outcome::kDelivered);
  EXPECT_EQ(result.remote_address, "127.0.0.1");
  ASSERT_TRUE(result.times.lookup);
  EXPECT_LE(*result.times.lookup, result.times.total);
  EXPECT_EQ(endpoint_.ledger().Requests().at(0).Header("Host"),
            "hook.test:" + std::to_string(endpoint_.port()));
  EXPECT_EQ(names_.Count("hook.test", Type::kA), 1U);
  EXPECT_EQ(names_.Count("hook.test", Type::kAaaa), 1U);
}

TEST_F(Name, ThatDoesNotExistCausesADnsError) {
  ExpectDnsError(PostTo("no.test").result, "The host name does not exist.");
  // No search domain is added to it.
  for (const NameQuery& query : names_.Queries()) EXPECT_EQ(query.name, "no.test");
}

TEST_F(Name, OfOneLabelIsAbsoluteToo) {
  ExpectDnsError(PostTo("intranet").result, "The host name does not exist.");
  for (const NameQuery& query : names_.Queries()) EXPECT_EQ(query.name, "intranet");
}

TEST_F(Name, WithoutAddressCausesADnsError) {
  names_.Script("mail-only.test", NameAnswer::NoData());
  ExpectDnsError(PostTo("mail-only.test").result, "The host name has no address.");
}

TEST_F(Name, WhoseServerFailsCausesADnsError) {
  names_.Script("broken.test", NameAnswer::Of(Kind::kServerFailure));
  names_.Script("refused.test", NameAnswer::Of(Kind::kRefused));
  ExpectDnsError(PostTo("broken.test").result, "The name servers gave no usable answer.");
  ExpectDnsError(PostTo("refused.test").result, "The name servers gave no usable answer.");
}

TEST_F(Name, WhoseServerIsSilentCausesADnsErrorAfterFiveSecondsAndDelaysNoOther) {
  names_.Script("silent.test", NameAnswer::Of(Kind::kSilence));
  names_.Script("garbage.test", NameAnswer::Of(Kind::kGarbage));
  names_.Script("good.test", NameAnswer::Addresses({"127.0.0.1"}, 0));
  const auto silent = poster_.Start(endpoint_.Url("/", "silent.test"));
  const auto garbage = poster_.Start(endpoint_.Url("/", "garbage.test"));
  int delivered = 0;
  double slowest = 0;
  while (!*silent) {
    const DeliveryResult result = PostTo("good.test").result;
    ASSERT_EQ(result.outcome, Outcome::kDelivered);
    slowest = std::max(slowest, result.times.total);
    ++delivered;
  }
  ASSERT_TRUE(poster_.RunUntilIdle());
  EXPECT_GT(delivered, 100);
  EXPECT_LT(slowest, 250);
  ExpectDnsError((*silent)->result, "The name servers did not answer.");
  EXPECT_GE((*silent)->result.times.total, 5000);
  EXPECT_LE((*silent)->result.times.total, 5250);
  EXPECT_EQ((*garbage)->result.outcome, Outcome::kDnsError);
}

TEST_F(Name, WhoseAnswerWasLostIsAskedForAgain) {
  names_.Script("lossy.test", {NameAnswer::Of(Kind::kSilence), NameAnswer::Addresses({"127.0.0.1"})});
  const DeliveryResult result = PostTo("lossy.test").result;
  EXPECT_EQ(result.outcome, Outcome::kDelivered);
  EXPECT_LT(result.times.total, 1500);
}

TEST_F(Name, IsCachedForItsTtlAndNotLonger) {
  names_.Script("short.test", NameAnswer::Addresses({"127.0.0.1"}, 1));
  EXPECT_TRUE(PostTo("short.test").result.times.lookup);
  EXPECT_FALSE(PostTo("short.test").result.times.lookup);
  EXPECT_EQ(names_.Count("short.test", Type::kA), 1U);
  const SteadyTime asked = Steady::now();
  ASSERT_TRUE(poster_.RunUntil([&] { return PostTo("short.test").result.times.lookup.has_value(); }, 5s));
  EXPECT_GE(Steady::now() - asked, 900ms);
  EXPECT_EQ(names_.Count("short.test", Type::kA), 2U);
}

// c-ares itself caches no answers.
TEST_F(Name, IsAskedForAtEachLookup) {
  names_.Script("long.test", NameAnswer::Addresses({"127.0.0.1"}, 3600));
  for (std::size_t times = 1; times <= 3; ++times) {
    EXPECT_EQ(poster_.LookUp("long.test").addresses.size(), 1U);
    EXPECT_EQ(names_.Count("long.test", Type::kA), times);
  }
}

TEST_F(Name, IsCachedForThirtySecondsAtMost) {
  names_.Script("long.test", NameAnswer::Addresses({"127.0.0.1"}, 3600));
  const SteadyTime asked = Steady::now();
  EXPECT_TRUE(PostTo("long.test").result.times.lookup);
  poster_.RunUntil([&] { return Steady::now() - asked > 25s; }, 25s);
  EXPECT_FALSE(PostTo("long.test").result.times.lookup);
  EXPECT_EQ(names_.Count("long.test", Type::kA), 1U);
  poster_.RunUntil([&] { return Steady::now() - asked > 31s; }, 7s);
  EXPECT_TRUE(PostTo("long.test").result.times.lookup);
  EXPECT_EQ(names_.Count("long.test", Type::kA), 2U);
}

TEST_F(Name, WithATtlOfZeroIsLookedUpEachTime) {
  names_.Script("zero.test", NameAnswer::Addresses({"127.0.0.1"}, 0));
  PostTo("zero.test");
  EXPECT_TRUE(PostTo("zero.test").result.times.lookup);
  EXPECT_EQ(names_.Count("zero.test", Type::kA), 2U);
}

TEST_F(Name, ThatFailedIsAskedForAgain) {
  names_.Script("new.test", {NameAnswer::Of(Kind::kNoSuchName), NameAnswer::Addresses({"127.0.0.1"})});
  EXPECT_EQ(PostTo("new.test").result.outcome, Outcome::kDnsError);
  EXPECT_EQ(PostTo("new.test").result.outcome, Outcome::kDelivered);
}

TEST_F(Name, WantedByManyAtOnceIsLookedUpOnce) {
  auto slow = NameAnswer::Addresses({"127.0.0.1"}, 0);
  slow.delay = 100ms;
  names_.Script("popular.test", slow);
  std::vector<Poster::Pending> pending;
  for (int i = 0; i < 50; ++i) pending.push_back(poster_.Start(endpoint_.Url("/", "popular.test")));
  ASSERT_TRUE(poster_.RunUntilIdle());
  for (const auto& post : pending) EXPECT_EQ((*post)->result.outcome, Outcome::kDelivered);
  EXPECT_EQ(names_.Count("popular.test", Type::kA), 1U);
}

TEST_F(Name, BehindAnAliasIsFound) {
  auto answer = NameAnswer::Addresses({"127.0.0.1"});
  answer.alias = "lb.provider.test";
  names_.Script("alias.test", answer);
  EXPECT_EQ(PostTo("alias.test").result.outcome, Outcome::kDelivered);
}

TEST_F(Name, WithMoreAddressesThanADatagramHoldsIsFound) {
  names_.Script("many.test", NameAnswer::Addresses(std::vector<std::string>(200, "127.0.0.1")));
  EXPECT_EQ(PostTo("many.test").result.outcome, Outcome::kDelivered);
  EXPECT_THAT(names_.Queries(), testing::Contains(testing::Field(&NameQuery::tcp, true)));
}

TEST_F(Name, CanBeLookedUpByItself) {
  names_.Script("both.test", NameAnswer::Addresses({"10.0.0.1", "::1", "10.0.0.2", "10.0.0.3"}));
  const http::LookupResult lookup = poster_.LookUp("both.test");
  EXPECT_EQ(lookup.failure, http::LookupFailure::kNone);
  std::vector<std::string> found;
  for (const auto& address : lookup.addresses) found.push_back(address.to_string());
  EXPECT_THAT(found, testing::ElementsAre("10.0.0.1", "::1", "10.0.0.2", "10.0.0.3"));
}

// Some name servers answer the question for IPv4 and drop the one for IPv6.
class DeafForIpv6 {
 public:
  DeafForIpv6() {
    Serve();
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~DeafForIpv6() {
    loop_.stop();
    thread_.join();
  }
  DeafForIpv6(const DeafForIpv6&) = delete;
  DeafForIpv6& operator=(const DeafForIpv6&) = delete;

  std::string address() const { return "127.0.0.1:" + std::to_string(socket_.local_endpoint().port()); }

 private:
  void Serve() {
    socket_.async_receive_from(boost::asio::buffer(message_), peer_, [this](auto error, std::size_t size) {
      if (error) return;
      const bool ipv4 = message_[size - 3] == 1;  // the question ends with type and class
      if (ipv4) {
        std::string answer(message_.data(), size);
        answer[2] = static_cast<char>(0x81);  // a response
        answer[7] = 1;                        // with one answer: the name, A, IN, 60 s, 127.0.0.1
        answer += std::string("\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01", 16);
        socket_.send_to(boost::asio::buffer(answer), peer_);
      }
      Serve();
    });
  }

  boost::asio::io_context loop_;
  boost::asio::ip::udp::socket socket_{loop_, {boost::asio::ip::make_address("127.0.0.1"), 0}};
  boost::asio::ip::udp::endpoint peer_;
  std::array<char, 512> message_{};
  std::thread thread_;
};

TEST(NameServers, ThatDropTheQuestionForIpv6DelayTheDeliveryByTwoSecondsOnly) {
  const DeafForIpv6 names;
  HostileEndpoint endpoint;
  Poster poster({.name_servers = names.address()});
  const DeliveryResult first = poster.Send(endpoint.Url("/", "half.test")).result;
  EXPECT_EQ(first.outcome, Outcome::kDelivered) << first.error;
  EXPECT_GE(first.times.lookup.value_or(0), 2000);
  EXPECT_LE(first.times.lookup.value_or(0), 2250);
  EXPECT_EQ(poster.Send(endpoint.Url("/", "half.test")).result.times.lookup, std::nullopt);
}

TEST(NameServers, ThatCannotBeReadAreRefusedAtOnce) {
  EXPECT_THROW(Poster({.name_servers = "not an address"}), std::runtime_error);
}

}  // namespace
}  // namespace postcall::test
