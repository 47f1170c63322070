// Many POSTs at once, and what happens when the engine is destroyed while they are in flight.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/integration/http/poster.h"
#include "tests/support/closed_ports.h"
#include "tests/support/hostile_endpoint.h"
#include "tests/support/name_server.h"
#include "tests/support/sanitizers.h"

namespace postcall::test {
namespace {

// A sanitizer makes the endpoint and the engine several times as slow, so that the CPU alone would make a
// delivery late. The tests that use all of it have so many fewer deliveries.
constexpr int kSlower = kSanitized ? 5 : 1;

// As many as the limits allow by default: 2,000, with 200 per endpoint.
TEST(Crowd, TwoThousandThatHangAllEndInTime) {
  HostileEndpoint endpoint({.address = "0.0.0.0", .tls = {}, .keep_ledger = false, .on_request = {}});
  endpoint.Otherwise(Hang());
  Poster poster;
  std::vector<Poster::Pending> pending;
  for (int i = 0; i < 2000; ++i) {
    pending.push_back(poster.Start(endpoint.Url("/", "127.0.0." + std::to_string(1 + i / 200))));
  }
  EXPECT_EQ(poster.engine().in_flight(), 2000U);
  ASSERT_TRUE(poster.RunUntilIdle());
  for (const auto& post : pending) {
    const DeliveryResult& result = (*post)->result;
    ASSERT_EQ(result.outcome, Outcome::kTimeout);
    ASSERT_EQ(result.reached, Reached::kRequestSent) << result.error;
    ASSERT_GE(result.times.total, 10'000);
    ASSERT_LE(result.times.total, 10'250);
  }
}

// The CPU is the bottleneck here, and still no delivery is late.
TEST(Crowd, AThousandHandshakesDoNotMakeHangingDeliveriesLate) {
  HostileEndpoint hanging({.tls = {}, .keep_ledger = false, .on_request = {}});
  hanging.Otherwise(Hang());
  HostileEndpoint tls(
      {.tls = TlsOptions{Authority().Issue({"127.0.0.1"})}, .keep_ledger = false, .on_request = {}});
  tls.Otherwise(Respond(200, "", {{"Connection", "close"}}) + Close());
  Poster poster({.timeout = 1000ms});
  std::vector<Poster::Pending> pending;
  for (int i = 0; i < 500 / kSlower; ++i) pending.push_back(poster.Start(hanging.Url()));
  for (int i = 0; i < 1000 / kSlower; ++i) pending.push_back(poster.Start(tls.Url()));
  ASSERT_TRUE(poster.RunUntilIdle());
  double slowest = 0;
  for (const auto& post : pending) slowest = std::max(slowest, (*post)->result.times.total);
  EXPECT_GE(slowest, 1000);
  EXPECT_LE(slowest, 1250);
}

// libcurl reads them as fast as they come, without a callback.
TEST(Crowd, AnswersWithoutAnEndDelayNoOtherDelivery) {
  HostileEndpoint plain;
  HostileEndpoint tls({.tls = TlsOptions{Authority().Issue({"127.0.0.1"})}, .on_request = {}});
  HostileEndpoint good;
  constexpr std::size_t kEach = 25 / kSlower;
  Poster poster({.timeout = 3000ms});
  std::vector<Poster::Pending> pending;
  for (HostileEndpoint* endpoint : {&plain, &tls}) {
    endpoint->Otherwise(EndlessChunkExtension());
    for (std::size_t i = 0; i < kEach; ++i) pending.push_back(poster.Start(endpoint->Url()));
  }
  ASSERT_TRUE(poster.RunUntil(
      [&] { return plain.ledger().RequestCount() == kEach && tls.ledger().RequestCount() == kEach; }));
  EXPECT_LT(poster.Send(good.Url()).result.times.total, 1000);
  ASSERT_TRUE(poster.RunUntilIdle());
  for (const auto& post : pending) {
    const DeliveryResult& result = (*post)->result;
    EXPECT_EQ(result.outcome, Outcome::kTimeout) << result.error;
    EXPECT_EQ(result.reached, Reached::kResponseStarted);
    EXPECT_EQ(result.http_status, 200);
    EXPECT_LE(result.times.total, 3250);
  }
}

TEST(Crowd, ADoneThatPostsAgainNeverMakesADeepStack) {
  HostileEndpoint endpoint;
  Poster poster({}, egress::Policy());
  int left = 20'000;
  std::function<void()> again = [&] {
    poster.engine().Post(Request("http://127.0.0.1/"), [&](const http::PostResult& post) {
      EXPECT_EQ(post.result.outcome, Outcome::kBlocked);
      if (--left > 0) again();
    });
  };
  again();
  EXPECT_EQ(left, 20'000) << "done was called from inside Post";
  EXPECT_TRUE(poster.RunUntil([&] { return left == 0; }));
}

TEST(Crowd, AnEngineThatIsDestroyedCancelsThemAndCallsNoDone) {
  HostileEndpoint endpoint;
  endpoint.On("/hang", Hang());
  endpoint.On("/drip", BodyDrip(10ms));
  HostileEndpoint tls({.tls = TlsOptions{Authority().Issue({"127.0.0.1"})}, .on_request = {}});
  tls.On("/hang", Hang());
  HostileEndpoint stalled({.tls = TlsOptions{Authority().Issue({"127.0.0.1"})}, .on_request = {}});
  stalled.OnConnection({.at_accept = Hang()});
  const FullBacklog black_hole;
  NameServer names;
  names.Script("silent.test", NameAnswer::Of(NameAnswer::Kind::kSilence));
  names.Script("two.test", NameAnswer::Addresses({"127.0.0.1", "127.0.0.2"}));

  auto poster = std::make_unique<Poster>(http::EngineOptions{.name_servers = names.address()});
  poster->Send(endpoint.Url());  // a connection that is idle
  poster->Send(tls.Url());
  std::vector<Poster::Pending> pending;
  for (int i = 0; i < 20; ++i) {
    pending.push_back(poster->Start(endpoint.Url("/hang")));
    pending.push_back(poster->Start(endpoint.Url("/drip")));
    pending.push_back(poster->Start(tls.Url("/hang")));
    pending.push_back(poster->Start(stalled.Url()));
    pending.push_back(poster->Start("http://127.0.0.1:" + std::to_string(black_hole.port()) + "/"));
    pending.push_back(poster->Start("http://two.test:" + std::to_string(black_hole.port()) + "/"));
    pending.push_back(poster->Start("http://silent.test/"));
  }
  // All POSTs are in flight, each as far as it gets.
  ASSERT_TRUE(poster->RunUntil(
      [&] { return endpoint.ledger().RequestCount() == 41 && tls.ledger().RequestCount() == 21; }));
  poster->Start(endpoint.Url("/just-posted"));
  poster->DestroyEngine();
  // Handlers that were queued on the loop find no engine.
  poster->loop().restart();
  poster->loop().poll();
  for (const auto& post : pending) EXPECT_FALSE(post->has_value());
}

// As the dispatcher has them with --network-threads 2.
TEST(Crowd, TwoEnginesOnThreadsOfTheirOwnDoNotDisturbEachOther) {
  HostileEndpoint plain;
  HostileEndpoint tls({.tls = TlsOptions{Authority().Issue({"127.0.0.1"})}, .on_request = {}});
  std::atomic<int> delivered = 0;
  const auto post_all = [&] {
    Poster poster;
    for (int i = 0; i < 100; ++i) {
      const auto one = poster.Start(plain.Url());
      const auto two = poster.Start(tls.Url());
      ASSERT_TRUE(poster.RunUntilIdle());
      for (const auto& post : {one, two}) {
        if ((*post)->result.outcome == Outcome::kDelivered) ++delivered;
      }
    }
  };
  std::thread other(post_all);
  post_all();
  other.join();
  EXPECT_EQ(delivered, 400);
  EXPECT_EQ(plain.ledger().RequestCount() + tls.ledger().RequestCount(), 400U);
}

TEST(Crowd, AnEngineMayBeDestroyedInsideADone) {
  HostileEndpoint endpoint;
  Poster poster;
  bool done = false;
  poster.engine().Post(Request(endpoint.Url()), [&](const http::PostResult&) {
    poster.DestroyEngine();
    done = true;
  });
  EXPECT_TRUE(poster.RunUntil([&] { return done; }));
}

}  // namespace
}  // namespace postcall::test
