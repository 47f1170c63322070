// Endpoints with several addresses, forbidden addresses or dead addresses (CONTRACT §2, §6).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dispatcher/http/transfer.h"
#include "tests/integration/http/poster.h"
#include "tests/support/closed_ports.h"
#include "tests/support/hostile_endpoint.h"
#include "tests/support/name_server.h"

namespace postcall::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string UrlOf(const std::string& host, std::uint16_t port) {
  return "http://" + host + ":" + std::to_string(port) + "/";
}

TEST(Address, WhosePortIsClosedCausesAConnectError) {
  const RefusingPort closed;
  Poster poster;
  const DeliveryResult result = poster.Send(UrlOf("127.0.0.1", closed.port())).result;
  EXPECT_EQ(result.outcome, Outcome::kConnectError);
  EXPECT_EQ(result.reached, Reached::kNothing);
  EXPECT_EQ(result.error, "No connection could be made: Connection refused.");
  EXPECT_EQ(result.remote_address, "");
  EXPECT_EQ(result.connection_reused, std::nullopt);
}

TEST(Address, OfIpv6IsReachedToo) {
  HostileEndpoint endpoint({.address = "::1", .tls = {}, .on_request = {}});
  Poster poster;
  const DeliveryResult result = poster.Send(endpoint.Url()).result;
  EXPECT_EQ(result.outcome, Outcome::kDelivered);
  EXPECT_EQ(result.remote_address, "::1");
}

TEST(Address, ThatIsRefusedYieldsToTheNextAtOnceAndIsTriedLastFromThenOn) {
  const RefusingPort closed("127.0.0.1");
  HostileEndpoint endpoint({.address = "127.0.0.2", .port = closed.port(), .tls = {}, .on_request = {}});
  NameServer names;
  names.Script("two.test", NameAnswer::Addresses({"127.0.0.1", "127.0.0.2"}));
  Poster poster({.name_servers = names.address()});
  const DeliveryResult first = poster.Send(UrlOf("two.test", closed.port())).result;
  EXPECT_EQ(first.outcome, Outcome::kDelivered);
  EXPECT_EQ(first.remote_address, "127.0.0.2");
  EXPECT_LT(first.times.total, 500);
  const DeliveryResult second = poster.Send(UrlOf("two.test", closed.port())).result;
  EXPECT_EQ(second.connection_reused, true);
  EXPECT_EQ(endpoint.ledger().RequestCount(), 2U);
}

TEST(Address, ThatDoesNotConnectWithinTwoSecondsYieldsToTheNext) {
  const FullBacklog black_hole("127.0.0.1");
  HostileEndpoint endpoint({.address = "127.0.0.2", .port = black_hole.port(), .tls = {}, .on_request = {}});
  NameServer names;
  names.Script("two.test", NameAnswer::Addresses({"127.0.0.1", "127.0.0.2"}));
  Poster poster({.name_servers = names.address()});
  const DeliveryResult first = poster.Send(UrlOf("two.test", black_hole.port())).result;
  EXPECT_EQ(first.outcome, Outcome::kDelivered);
  EXPECT_EQ(first.remote_address, "127.0.0.2");
  ASSERT_TRUE(first.times.connect);
  EXPECT_GE(*first.times.connect, 2000);
  EXPECT_LE(*first.times.connect, 2250);
  // The next POST does not wait for the dead address again.
  EXPECT_LT(poster.Send(UrlOf("two.test", black_hole.port())).result.times.total, 500);
  EXPECT_EQ(endpoint.ledger().RequestCount(), 2U);
}

// Otherwise, on a machine without IPv6, the error of every name with addresses of both families would name
// the wrong cause.
TEST(Address, ThatGotFurthestDeterminesTheError) {
  const RefusingPort closed("127.0.0.1");
  HostileEndpoint endpoint(
      {.address = "127.0.0.2",
       .port = closed.port(),
       .tls = TlsOptions{.certificate = Authority().Issue({"two.test"}, Validity::Expired())},
       .on_request = {}});
  for (const std::vector<std::string>& order :
       {std::vector<std::string>{"127.0.0.1", "127.0.0.2"}, {"127.0.0.2", "127.0.0.1"}}) {
    NameServer names;
    names.Script("two.test", NameAnswer::Addresses(order));
    Poster poster({.name_servers = names.address()});
    for (int post = 0; post < 2; ++post) {
      const DeliveryResult result =
          poster.Send("https://two.test:" + std::to_string(closed.port()) + "/").result;
      EXPECT_EQ(result.outcome, Outcome::kTlsError);
      EXPECT_EQ(result.reached, Reached::kConnected);
      EXPECT_EQ(result.remote_address, "127.0.0.2");
      EXPECT_THAT(result.error, HasSubstr("expired"));
      EXPECT_TRUE(result.certificate_ends_at);
      EXPECT_TRUE(result.times.connect);
    }
  }
}

TEST(Address, ThatIsTheLastHasTheRestOfTheTime) {
  const FullBacklog black_hole;
  NameServer names;
  names.Script("two.test", NameAnswer::Addresses({"127.0.0.1", "127.0.0.1"}));
  Poster poster({.timeout = 3000ms, .name_servers = names.address()});
  const DeliveryResult result = poster.Send(UrlOf("two.test", black_hole.port())).result;
  EXPECT_EQ(result.outcome, Outcome::kTimeout);
  EXPECT_EQ(result.reached, Reached::kNothing);
  EXPECT_GE(result.times.total, 3000);
}

TEST(Address, WhoseTlsFailsYieldsToTheNext) {
  HostileEndpoint bad({.address = "127.0.0.1",
                       .tls = TlsOptions{CertificateAuthority::SelfSigned({"two.test"})},
                       .on_request = {}});
  HostileEndpoint good({.address = "127.0.0.2",
                        .port = bad.port(),
                        .tls = TlsOptions{Authority().Issue({"two.test"})},
                        .on_request = {}});
  NameServer names;
  names.Script("two.test", NameAnswer::Addresses({"127.0.0.1", "127.0.0.2"}));
  Poster poster({.name_servers = names.address()});
  const DeliveryResult result = poster.Send("https://two.test:" + std::to_string(bad.port()) + "/").result;
  EXPECT_EQ(result.outcome, Outcome::kDelivered) << result.error;
  EXPECT_EQ(result.remote_address, "127.0.0.2");
  EXPECT_EQ(good.ledger().Connections().at(0).server_name, "two.test");
}

TEST(Address, IsNotChangedOnceTheRequestWasSent) {
  HostileEndpoint first({.address = "127.0.0.1", .tls = {}, .on_request = {}});
  first.Otherwise(Reset());
  HostileEndpoint second({.address = "127.0.0.2", .port = first.port(), .tls = {}, .on_request = {}});
  NameServer names;
  names.Script("two.test", NameAnswer::Addresses({"127.0.0.1", "127.0.0.2"}));
  Poster poster({.name_servers = names.address()});
  const DeliveryResult result = poster.Send(UrlOf("two.test", first.port())).result;
  EXPECT_EQ(result.outcome, Outcome::kNetworkError);
  EXPECT_EQ(first.ledger().RequestCount() + second.ledger().RequestCount(), 1U);
  EXPECT_EQ(second.ledger().ConnectionCount(), 0U);
}

void ExpectBlocked(const DeliveryResult& result) {
  EXPECT_EQ(result.outcome, Outcome::kBlocked);
  EXPECT_EQ(result.reached, Reached::kNothing);
  EXPECT_EQ(result.remote_address, "");
  EXPECT_THAT(result.error, HasSubstr("egress policy"));
  EXPECT_THAT(result.error, Not(HasSubstr("127.")));
}

TEST(Address, ThatThePolicyForbidsIsBlockedInEachSpelling) {
  HostileEndpoint endpoint;
  Poster poster({}, egress::Policy());
  for (const char* host :
       {"127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"}) {
    ExpectBlocked(poster.Send(UrlOf(host, endpoint.port())).result);
  }
  EXPECT_EQ(endpoint.ledger().ConnectionCount(), 0U);
}

TEST(Address, ThatIsForbiddenForbidsTheWholeName) {
  HostileEndpoint endpoint;
  NameServer names;
  names.Script("mixed.test", NameAnswer::Addresses({"127.0.0.1", "10.0.0.1"}));
  names.Script("mixed6.test", NameAnswer::Addresses({"127.0.0.1", "fd00::1"}));
  Poster poster({.name_servers = names.address()});
  ExpectBlocked(poster.Send(UrlOf("mixed.test", endpoint.port())).result);
  ExpectBlocked(poster.Send(UrlOf("mixed6.test", endpoint.port())).result);
  EXPECT_EQ(endpoint.ledger().ConnectionCount(), 0U);
}

// The name has another address at the next lookup.
TEST(Address, IsJudgedAgainAtEachLookup) {
  HostileEndpoint endpoint;
  NameServer names;
  names.Script("rebinding.test",
               {NameAnswer::Addresses({"127.0.0.1"}, 0), NameAnswer::Addresses({"127.0.0.2"}, 0)});
  Poster poster({.name_servers = names.address()}, egress::Policy({*egress::ParseCidr("127.0.0.1")}, {}));
  EXPECT_EQ(poster.Send(UrlOf("rebinding.test", endpoint.port())).result.outcome, Outcome::kDelivered);
  ExpectBlocked(poster.Send(UrlOf("rebinding.test", endpoint.port())).result);
}

http::SourceAddresses Sources(const std::vector<std::string>& texts) {
  std::vector<boost::asio::ip::address> addresses;
  for (const std::string& text : texts) addresses.push_back(boost::asio::ip::make_address(text));
  return http::SourceAddresses(addresses);
}

TEST(SourceAddress, IsTheOneThatConnectionsComeFrom) {
  HostileEndpoint endpoint;
  HostileEndpoint endpoint6({.address = "::1", .tls = {}, .on_request = {}});
  Poster poster({}, LoopbackAllowed(), Sources({"127.0.0.2", "::1"}));
  EXPECT_EQ(poster.Send(endpoint.Url()).result.outcome, Outcome::kDelivered);
  EXPECT_EQ(poster.Send(endpoint6.Url()).result.outcome, Outcome::kDelivered);
  EXPECT_EQ(endpoint.ledger().Connections().at(0).from, "127.0.0.2");
  EXPECT_EQ(endpoint6.ledger().Connections().at(0).from, "::1");
  EXPECT_EQ(Poster().Send(endpoint.Url()).result.outcome, Outcome::kDelivered);
  EXPECT_EQ(endpoint.ledger().Connections().at(1).from, "127.0.0.1") << "without one the system chooses";
}

// Connections of the other family would come from an address that the customer does not know.
TEST(SourceAddress, OfOneFamilyIsNeverLeftForAnother) {
  HostileEndpoint endpoint;
  HostileEndpoint endpoint6({.address = "::1", .port = endpoint.port(), .tls = {}, .on_request = {}});
  NameServer names;
  names.Script("both.test", NameAnswer::Addresses({"::1", "127.0.0.1"}));
  names.Script("ipv6.test", NameAnswer::Addresses({"::1"}));
  Poster poster({.name_servers = names.address()}, LoopbackAllowed(), Sources({"127.0.0.2"}));
  for (const std::string host : {"[::1]", "ipv6.test"}) {
    const DeliveryResult result = poster.Send(UrlOf(host, endpoint.port())).result;
    EXPECT_EQ(result.outcome, Outcome::kConnectError);
    EXPECT_EQ(result.reached, Reached::kNothing);
    EXPECT_THAT(result.error, HasSubstr("no source address"));
  }
  EXPECT_EQ(poster.Send(UrlOf("both.test", endpoint.port())).result.remote_address, "127.0.0.1");
  EXPECT_EQ(endpoint6.ledger().ConnectionCount(), 0U);
}

TEST(SourceAddress, ThatThisMachineDoesNotHaveIsAFaultOfItsNetwork) {
  HostileEndpoint endpoint;
  const http::SourceAddresses lost = Sources({"192.0.2.1", "::1"});
  EXPECT_THAT(lost.Missing(), ::testing::ElementsAre("192.0.2.1"));
  Poster poster({}, LoopbackAllowed(), lost);
  const http::PostResult result = poster.Send(endpoint.Url());
  EXPECT_EQ(result.sign, http::NetworkSign::kNoSource);
  EXPECT_EQ(result.fault, std::nullopt);
  EXPECT_EQ(result.result.reached, Reached::kNothing);
  EXPECT_EQ(endpoint.ledger().ConnectionCount(), 0U);
}

TEST(SourceAddress, OfIpv4IsUsedForIpv4WrittenAsIpv6) {
  HostileEndpoint endpoint;
  Poster poster({}, egress::Policy({*egress::ParseCidr("127.0.0.0/8")}, {}), Sources({"127.0.0.2"}));
  const DeliveryResult result = poster.Send(UrlOf("[::ffff:127.0.0.1]", endpoint.port())).result;
  EXPECT_EQ(result.outcome, Outcome::kDelivered) << result.error;
  EXPECT_EQ(endpoint.ledger().Connections().at(0).from, "127.0.0.2");
}

TEST(SourceAddress, IsOneThatAnEndpointCanAnswerTo) {
  const auto can = [](const char* text) {
    return http::SourceAddresses::CanBeAnswered(boost::asio::ip::make_address(text));
  };
  for (const char* one : {"127.0.0.1", "203.0.113.7", "10.0.0.1", "::1", "2001:db8::1", "fd00::1"})
    EXPECT_TRUE(can(one)) << one;
  for (const char* other :
       {"0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1", "fe80::1", "::ffff:127.0.0.1"})
    EXPECT_FALSE(can(other)) << other;
}

// Even when the check of names is passed, the last check is made when the socket is opened.
TEST(Address, IsCheckedAgainWhereTheSocketIsMade) {
  HostileEndpoint endpoint;
  boost::asio::io_context loop;
  const egress::Policy policy;
  http::Reachability reachability;
  metrics::Metrics metrics;
  const http::EngineOptions options;
  http::SocketWatch watch(loop);
  const http::CaStore authorities(Authority().ca_file());
  http::Resolver resolver(watch, "", "/etc/hosts");
  http::Multi multi(watch, 1);
  http::AttemptContext attempts{policy, authorities, reachability, 0};
  http::TransferContext context{options, policy, reachability, metrics, resolver, attempts, {}, {}, {}};
  const http::PostRequest request = Request(endpoint.Url());
  http::Transfer transfer(context, multi, request, {}, false);
  http::Attempt attempt(attempts, transfer, request, boost::asio::ip::make_address("127.0.0.1"), {});
  EXPECT_EQ(curl_easy_perform(attempt.easy()), CURLE_COULDNT_CONNECT);
  EXPECT_EQ(attempt.Facts().state, http::AttemptState::kForbidden);
  EXPECT_EQ(endpoint.ledger().ConnectionCount(), 0U);
}

}  // namespace
}  // namespace postcall::test
