// A delivery is over after 10 s, whatever the endpoint does (CONTRACT §2).
#include <gtest/gtest.h>

#include <map>

#include "dispatcher/http/transfer.h"
#include "tests/integration/http/poster.h"
#include "tests/support/closed_ports.h"
#include "tests/support/hostile_endpoint.h"
#include "tests/support/name_server.h"

namespace postcall::test {
namespace {

http::EngineOptions InAMoment() { return {.timeout = 300ms}; }

TEST(Deadline, OfTenSecondsHoldsInEveryWayToStall) {
  HostileEndpoint endpoint;
  endpoint.On("/hang", Hang());
  endpoint.On("/header-drip", HeaderDrip(500ms));
  endpoint.On("/body-drip", BodyDrip(500ms));
  endpoint.On("/endless-chunk-extension", EndlessChunkExtension());
  endpoint.On("/head-unread", Hang(), AnswerAt::kHeadEnd);
  HostileEndpoint silent_tls({.tls = TlsOptions{Authority().Issue({"127.0.0.1"})}, .on_request = {}});
  silent_tls.OnConnection({.at_accept = Hang()});
  HostileEndpoint slow_tls({.tls = TlsOptions{Authority().Issue({"127.0.0.1"})}, .on_request = {}});
  slow_tls.OnConnection({.handshake_drip = 200ms});
  const FullBacklog no_connection;

  struct Expected {
    http::PostRequest request;
    Reached reached;
    std::string error;
  };
  std::vector<Expected> cases;
  cases.push_back({Request(endpoint.Url("/hang")), Reached::kRequestSent, "No answer came within 10 s."});
  cases.push_back({Request(endpoint.Url("/header-drip")), Reached::kResponseStarted,
                   "The answer was not complete within 10 s."});
  cases.push_back({Request(endpoint.Url("/body-drip")), Reached::kResponseStarted,
                   "The answer was not complete within 10 s."});
  cases.push_back({Request(endpoint.Url("/endless-chunk-extension")), Reached::kResponseStarted,
                   "The answer was not complete within 10 s."});
  cases.push_back({Request(endpoint.Url("/head-unread"), std::string(8'000'000, ' ')), Reached::kRequestSent,
                   "No answer came within 10 s."});
  cases.push_back(
      {Request(silent_tls.Url()), Reached::kConnected, "The TLS handshake did not end within 10 s."});
  cases.push_back(
      {Request(slow_tls.Url()), Reached::kConnected, "The TLS handshake did not end within 10 s."});
  cases.push_back({Request("http://127.0.0.1:" + std::to_string(no_connection.port())), Reached::kNothing,
                   "No connection was made within 10 s."});

  Poster poster;
  std::vector<Poster::Pending> pending;
  for (Expected& expected : cases) pending.push_back(poster.Start(expected.request));
  ASSERT_TRUE(poster.RunUntilIdle());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::string where = cases[i].request.url.ToString();
    const DeliveryResult& result = (*pending[i])->result;
    EXPECT_EQ(result.outcome, Outcome::kTimeout) << where;
    EXPECT_EQ(result.reached, cases[i].reached) << where;
    EXPECT_EQ(result.error, cases[i].error) << where;
    EXPECT_GE(result.times.total, 10'000) << where;
    EXPECT_LE(result.times.total, 10'250) << where;
    EXPECT_EQ(result.remote_address, cases[i].reached == Reached::kNothing ? "" : "127.0.0.1") << where;
  }
}

TEST(Deadline, KeepsTheStatusThatHadArrived) {
  HostileEndpoint endpoint;
  endpoint.On("/200", BodyDrip(50ms));
  endpoint.On("/103", Send("HTTP/1.1 103 Early Hints\r\n\r\n") + Hang());
  Poster poster(InAMoment());
  EXPECT_EQ(poster.Send(endpoint.Url("/200")).result.http_status, 200);
  const DeliveryResult result = poster.Send(endpoint.Url("/103")).result;
  EXPECT_EQ(result.http_status, std::nullopt);
  EXPECT_EQ(result.reached, Reached::kResponseStarted);
  EXPECT_EQ(result.error, "The answer was not complete within 0.3 s.");
}

TEST(Deadline, ASilentTlsEndpointHasNotStartedItsAnswerWhateverMessagesOfTlsItSends) {
  HostileEndpoint endpoint({.tls = TlsOptions{Authority().Issue({"127.0.0.1"})}, .on_request = {}});
  endpoint.On("/hang", Hang());  // TLS 1.3 sends session tickets nevertheless
  endpoint.On("/byte", Send("H") + Hang());
  Poster poster(InAMoment());
  EXPECT_EQ(poster.Send(endpoint.Url("/hang")).result.reached, Reached::kRequestSent);
  EXPECT_EQ(poster.Send(endpoint.Url("/byte")).result.reached, Reached::kResponseStarted);
}

TEST(Deadline, AnAnswerAfterTheDeadlineIsATimeoutAndItsConnectionIsNotUsed) {
  HostileEndpoint endpoint;
  endpoint.On("/late", Wait(350ms) + Respond(200, "late"));
  endpoint.On("/next", Respond(200, "next"));
  Poster poster(InAMoment());
  EXPECT_EQ(poster.Send(endpoint.Url("/late")).result.outcome, Outcome::kTimeout);
  const DeliveryResult next = poster.Send(endpoint.Url("/next")).result;
  EXPECT_EQ(next.response_body, "next");
  EXPECT_EQ(next.connection_reused, false);
}

TEST(Deadline, HoldsWhileTheNameIsLookedUp) {
  NameServer names;
  names.Script("silent.test", NameAnswer::Of(NameAnswer::Kind::kSilence));
  auto options = InAMoment();
  options.name_servers = names.address();
  Poster poster(options);
  const DeliveryResult result = poster.Send("http://silent.test/").result;
  EXPECT_EQ(result.outcome, Outcome::kTimeout);
  EXPECT_EQ(result.reached, Reached::kNothing);
  EXPECT_EQ(result.error, "The host name was not looked up within 0.3 s.");
}

TEST(Deadline, BeforeTheFirstAttemptIsNoFaultOfTheName) {
  const FullBacklog black_hole;
  Poster poster({.timeout = 1ms});
  std::vector<Poster::Pending> pending;
  for (int i = 0; i < 500; ++i) {
    pending.push_back(poster.Start("http://127.0.0.1:" + std::to_string(black_hole.port()) + "/"));
  }
  ASSERT_TRUE(poster.RunUntilIdle());
  for (const auto& post : pending) {
    ASSERT_EQ((*post)->result.outcome, Outcome::kTimeout);
    ASSERT_EQ((*post)->result.error, "No connection was made within 0.001 s.");
  }
}

// The test has an engine of its own, which never starts the attempt to the second address.
TEST(Deadline, BetweenTwoAttemptsSaysHowFarTheFirstGot) {
  HostileEndpoint endpoint(
      {.tls = TlsOptions{CertificateAuthority::SelfSigned({"two.test"})}, .on_request = {}});
  NameServer names;
  names.Script("two.test", NameAnswer::Addresses({"127.0.0.1", "127.0.0.2"}));
  boost::asio::io_context loop;
  const egress::Policy policy = LoopbackAllowed();
  http::Reachability reachability;
  metrics::Metrics metrics;
  const http::EngineOptions options;
  http::SocketWatch watch(loop);
  const http::CaStore authorities(Authority().ca_file());
  http::Resolver resolver(watch, names.address(), "/etc/hosts");
  http::Multi multi(watch, 1);
  http::AttemptContext attempts{policy, authorities, reachability, 0};
  int starts = 0;
  http::TransferContext context{options,
                                policy,
                                reachability,
                                metrics,
                                resolver,
                                attempts,
                                [&](http::Transfer&) { ++starts; },
                                [](http::Transfer&, int) {},
                                [](http::Transfer&) {}};
  std::optional<http::PostResult> post;
  const auto transfer = std::make_shared<http::Transfer>(
      context, multi, Request(endpoint.Url("/", "two.test")), [&](http::PostResult result) { post = result; },
      false);
  const auto run_until_start = [&](int start) {
    while (starts < start && Steady::now() < transfer->deadline()) {
      watch.Dispatch([] {});
      resolver.OnDue(Steady::now());
      if (multi.due() <= Steady::now()) multi.OnDue();
    }
  };
  transfer->Start();
  run_until_start(1);
  transfer->StartAttempt();
  run_until_start(2);
  transfer->OnDeadline();
  transfer->CallDone();
  EXPECT_EQ(post->result.outcome, Outcome::kTimeout);
  EXPECT_EQ(post->result.reached, Reached::kConnected);
  EXPECT_EQ(post->result.remote_address, "127.0.0.1");
  EXPECT_EQ(post->result.error, "The connection was not ready within 10 s.");
}

TEST(Deadline, SendBeforeKeepsALateRequestFromLeavingAtAll) {
  HostileEndpoint endpoint;
  Poster poster(InAMoment());
  auto request = Request(endpoint.Url());
  request.send_before = Steady::now();
  const DeliveryResult result = poster.Send(std::move(request)).result;
  EXPECT_EQ(result.outcome, Outcome::kTimeout);
  EXPECT_EQ(result.reached, Reached::kConnected);
  EXPECT_EQ(result.request_bytes, 0);
  EXPECT_GE(result.times.total, 300);
  ASSERT_TRUE(endpoint.ledger().WaitFor(
      [](const auto&, const auto& connections) {
        return connections.size() == 1 && connections[0].closed_at;
      },
      5s));
  EXPECT_EQ(endpoint.ledger().RequestCount(), 0U);
}

TEST(Deadline, SendBeforeHoldsOnAKeptConnectionToo) {
  HostileEndpoint endpoint;
  Poster poster(InAMoment());
  poster.Send(endpoint.Url("/first"));
  auto request = Request(endpoint.Url("/late"));
  request.send_before = Steady::now();
  EXPECT_EQ(poster.Send(std::move(request)).result.reached, Reached::kConnected);
  poster.Send(endpoint.Url("/third"));
  const auto requests = endpoint.ledger().Requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[1].target, "/third");
}

}  // namespace
}  // namespace postcall::test
