// The exact bytes that are sent (CONTRACT §2, §7).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/integration/http/poster.h"
#include "tests/support/closed_ports.h"
#include "tests/support/hostile_endpoint.h"

namespace postcall::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Host(const HostileEndpoint& endpoint) { return "127.0.0.1:" + std::to_string(endpoint.port()); }

TEST(RequestBytes, OfAPlainPostAreExactlyThese) {
  HostileEndpoint endpoint;
  Poster poster;
  poster.Send(Request(endpoint.Url("/hook?a=1"), R"({"callId":"ü"})"));
  const auto requests = endpoint.ledger().Requests();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].head,
            "POST /hook?a=1 HTTP/1.1\r\nHost: " + Host(endpoint) +
                "\r\nUser-Agent: postcall-dispatcher/" POSTCALL_VERSION
                "\r\nAccept: */*\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n");
  EXPECT_EQ(requests[0].body, R"({"callId":"ü"})");
}

TEST(RequestBytes, HaveTheAgentsHeadersAlsoEmptyOnes) {
  HostileEndpoint endpoint;
  Poster poster;
  auto request = Request(endpoint.Url());
  request.headers = {
      {"X-Api-Key", "k 1; a=b"}, {"X-Empty", ""}, {"webhook-id", "call_c-1"}, {"Authorization", "Bearer t"}};
  poster.Send(std::move(request));
  const std::string head = endpoint.ledger().Requests().at(0).head;
  EXPECT_THAT(head, HasSubstr("\r\nX-Api-Key: k 1; a=b\r\nX-Empty:\r\nwebhook-id: call_c-1\r\n"
                              "Authorization: Bearer t\r\n"));
}

TEST(RequestBytes, NeverHaveExpectOrAcceptEncodingWhateverTheSize) {
  HostileEndpoint endpoint;
  Poster poster;
  const std::string body = R"({"x":")" + std::string(3'000'000, 'y') + "\"}";
  const DeliveryResult result = poster.Send(Request(endpoint.Url(), body)).result;
  EXPECT_EQ(result.outcome, Outcome::kDelivered);
  EXPECT_EQ(result.request_bytes, static_cast<std::int64_t>(body.size()));
  const auto request = endpoint.ledger().Requests().at(0);
  EXPECT_EQ(request.body, body);
  EXPECT_THAT(request.head, Not(HasSubstr("Expect")));
  EXPECT_THAT(request.head, Not(HasSubstr("Accept-Encoding")));
}

TEST(RequestBytes, KeepThePathAsItIs) {
  HostileEndpoint endpoint;
  Poster poster;
  poster.Send(endpoint.Url("/a/../b/./c?q=%2e#fragment"));
  EXPECT_EQ(endpoint.ledger().Requests().at(0).target, "/a/../b/./c?q=%2e");
}

TEST(RequestBytes, CarryUserAndPasswordAsBasicAuthentication) {
  HostileEndpoint endpoint;
  Poster poster;
  const auto with = [&](const std::string& user_info) {
    return "http://" + user_info + "@" + Host(endpoint) + "/";
  };
  poster.Send(with("Aladdin:open%20sesame"));
  poster.Send(with(":only"));
  poster.Send(with("only"));
  const auto requests = endpoint.ledger().Requests();
  EXPECT_EQ(requests.at(0).Header("Authorization"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  EXPECT_EQ(requests.at(1).Header("Authorization"), "Basic Om9ubHk=");
  EXPECT_EQ(requests.at(2).Header("Authorization"), "Basic b25seTo=");
}

TEST(RequestBytes, DoNotCarryOnePostsCredentialsIntoTheNext) {
  HostileEndpoint endpoint;
  Poster poster;
  poster.Send("http://u:p@" + Host(endpoint) + "/");
  EXPECT_EQ(poster.Send(endpoint.Url()).result.connection_reused, true);
  EXPECT_EQ(endpoint.ledger().Requests().at(1).Header("Authorization"), std::nullopt);
}

TEST(RequestBytes, GoPastTheProxiesOfTheEnvironment) {
  const RefusingPort nowhere;
  const std::string proxy = "http://127.0.0.1:" + std::to_string(nowhere.port());
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    ::setenv(name, proxy.c_str(), 1);
  }
  HostileEndpoint endpoint;
  Poster poster;
  EXPECT_EQ(poster.Send(endpoint.Url()).result.outcome, Outcome::kDelivered);
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    ::unsetenv(name);
  }
}

TEST(RequestBytes, CarryNoCredentialsOfANetrcFile) {
  std::string home = (std::filesystem::temp_directory_path() / "postcall-home-XXXXXX").string();
  ASSERT_NE(::mkdtemp(home.data()), nullptr);
  std::ofstream(std::filesystem::path(home) / ".netrc") << "machine 127.0.0.1 login u password p\n";
  const char* const home_before = std::getenv("HOME");
  const std::string kept = home_before == nullptr ? "/" : home_before;
  ::setenv("HOME", home.c_str(), 1);
  HostileEndpoint endpoint;
  Poster poster;
  EXPECT_EQ(poster.Send(endpoint.Url()).result.outcome, Outcome::kDelivered);
  ::setenv("HOME", kept.c_str(), 1);
  std::filesystem::remove_all(home);
  EXPECT_EQ(endpoint.ledger().Requests().at(0).Header("Authorization"), std::nullopt);
}

TEST(RequestBytes, AreNotSentInARehearsal) {
  HostileEndpoint endpoint;
  Poster poster;
  std::optional<http::PostResult> rehearsal;
  poster.engine().Rehearse(Request(endpoint.Url()), [&](http::PostResult result) { rehearsal = result; });
  ASSERT_TRUE(poster.RunUntil([&] { return rehearsal.has_value(); }));
  EXPECT_EQ(rehearsal->result.outcome, Outcome::kNotSent);
  EXPECT_EQ(rehearsal->result.reached, Reached::kConnected);
  EXPECT_EQ(rehearsal->result.remote_address, "127.0.0.1");
  EXPECT_EQ(rehearsal->result.request_bytes, 0);
  ASSERT_TRUE(endpoint.ledger().WaitFor(
      [](const auto&, const auto& connections) {
        return connections.size() == 1 && connections[0].closed_at;
      },
      5s));
  EXPECT_EQ(endpoint.ledger().RequestCount(), 0U);
}

}  // namespace
}  // namespace postcall::test
