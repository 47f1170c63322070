#include "dispatcher/dispatch/network_watch.h"

#include <gtest/gtest.h>

namespace postcall::dispatch {
namespace {

using namespace std::chrono_literals;
using http::NetworkSign;

class NetworkWatching : public ::testing::Test {
 protected:
  // True when the failure was kept. The delivery took `took` to fail.
  bool Fail(const std::string& endpoint, NetworkSign sign, SteadyTime at,
            std::chrono::milliseconds took = 1ms) {
    FailedDelivery failed{std::make_unique<ClaimedDelivery>(), {}, at};
    auto destination = std::make_shared<Destination>();
    destination->endpoint = endpoint;
    failed.delivery->destination = std::move(destination);
    failed.post.sign = sign;
    failed.post.result.times.total = static_cast<double>(took.count());
    if (!watch_.MayBeOurs(endpoint, failed.post, at)) return false;
    watch_.Keep(std::move(failed));
    return true;
  }

  void FailThree(NetworkSign sign, SteadyTime at, std::chrono::milliseconds took = 1ms) {
    for (const char* endpoint : {"a", "b", "c"}) EXPECT_TRUE(Fail(endpoint, sign, at, took));
  }

  const SteadyTime start_ = Steady::now();
  http::Reachability reachability_;
  NetworkWatch watch_{reachability_};
};

TEST_F(NetworkWatching, ThreeEndpointsWithoutARouteAreOurNetwork) {
  FailThree(NetworkSign::kNoRoute, start_);
  EXPECT_FALSE(watch_.Decide(start_ + NetworkWatch::kGrace - 1ms).went_down);
  const auto found = watch_.Decide(start_ + NetworkWatch::kGrace);
  EXPECT_TRUE(found.went_down);
  EXPECT_EQ(found.networks.size(), 3U);
  EXPECT_TRUE(found.endpoints.empty());
  EXPECT_NE(watch_.fault().value_or("").find("no route"), std::string::npos);
}

TEST_F(NetworkWatching, FewerEndpointsFailByThemselves) {
  for (int call = 0; call < 10; ++call) Fail("a", NetworkSign::kNoRoute, start_);
  Fail("b", NetworkSign::kNoRoute, start_);
  EXPECT_TRUE(watch_.Decide(start_ + NetworkWatch::kKeepFor - 1ms).endpoints.empty());
  const auto found = watch_.Decide(start_ + NetworkWatch::kKeepFor);
  EXPECT_EQ(found.endpoints.size(), 11U);
  EXPECT_TRUE(found.networks.empty());
  EXPECT_EQ(watch_.fault(), std::nullopt);
}

// It is never the endpoint's fault, however few endpoints there are.
TEST_F(NetworkWatching, WithoutItsSourceAddressACallIsRequeued) {
  Fail("a", NetworkSign::kNoSource, start_);
  auto found = watch_.Decide(start_ + NetworkWatch::kKeepFor);
  EXPECT_EQ(found.sources.size(), 1U);
  EXPECT_TRUE(found.endpoints.empty());

  FailThree(NetworkSign::kNoSource, start_);
  reachability_.NoteAnswer(start_ + 10ms);  // over the other family
  found = watch_.Decide(start_ + 11ms);
  EXPECT_EQ(found.sources.size(), 3U);
  EXPECT_FALSE(found.went_down);

  FailThree(NetworkSign::kNoSource, start_ + 20ms);
  found = watch_.Decide(start_ + 20ms + NetworkWatch::kGrace);
  EXPECT_TRUE(found.went_down);
  EXPECT_EQ(found.networks.size(), 3U);
  EXPECT_NE(watch_.fault().value_or("").find("source address"), std::string::npos);
}

TEST_F(NetworkWatching, AnAnswerThatCameLaterClearsTheNetworkAtOnce) {
  FailThree(NetworkSign::kNoRoute, start_);
  reachability_.NoteAnswer(start_ + 10ms);
  EXPECT_EQ(watch_.Decide(start_ + 11ms).endpoints.size(), 3U);
}

TEST_F(NetworkWatching, AnAnswerFromBeforeTheRouteWasLostSaysNothing) {
  reachability_.NoteAnswer(start_ - 1ms);
  FailThree(NetworkSign::kNoRoute, start_);
  EXPECT_TRUE(watch_.Decide(start_ + NetworkWatch::kGrace).went_down);
}

TEST_F(NetworkWatching, TheFirstAnswerEndsAnOutage) {
  FailThree(NetworkSign::kNoRoute, start_);
  ASSERT_TRUE(watch_.Decide(start_ + 1s).went_down);
  EXPECT_FALSE(watch_.Decide(start_ + 60s).came_up);
  reachability_.NoteAnswer(start_ + 61s);
  EXPECT_TRUE(watch_.Decide(start_ + 61s).came_up);
  EXPECT_EQ(watch_.fault(), std::nullopt);
}

TEST_F(NetworkWatching, WhileItIsDownEachFailureIsRequeued) {
  FailThree(NetworkSign::kNoRoute, start_);
  ASSERT_TRUE(watch_.Decide(start_ + 1s).went_down);
  EXPECT_TRUE(Fail("never reached", NetworkSign::kSilence, start_ + 11s, 10s));
  EXPECT_EQ(watch_.Decide(start_ + 11s).networks.size(), 1U);
}

TEST_F(NetworkWatching, SilenceOfEndpointsThatWereNeverReachedIsTheirOwn) {
  EXPECT_FALSE(Fail("a", NetworkSign::kSilence, start_, 10s));
  watch_.NoteReached("a", start_ - NetworkWatch::kKnownFor);
  EXPECT_FALSE(Fail("a", NetworkSign::kSilence, start_, 10s));
}

TEST_F(NetworkWatching, SilenceOfThreeThatWereReachedIsOurNetwork) {
  for (const char* endpoint : {"a", "b", "c"}) watch_.NoteReached(endpoint, start_ - 60s);
  FailThree(NetworkSign::kSilence, start_, 10s);
  EXPECT_TRUE(watch_.Decide(start_ + NetworkWatch::kGrace).went_down);
}

TEST_F(NetworkWatching, AnAnswerInTheLastSecondOfASilenceClearsTheNetwork) {
  for (const char* endpoint : {"a", "b", "c"}) watch_.NoteReached(endpoint, start_ - 60s);
  reachability_.NoteAnswer(start_ - 900ms);
  FailThree(NetworkSign::kSilence, start_, 10s);
  EXPECT_EQ(watch_.Decide(start_).endpoints.size(), 3U);
}

TEST_F(NetworkWatching, WithoutANameThatIsKnownAnyAnswerClearsTheNameServers) {
  FailThree(NetworkSign::kNoNameServer, start_);
  EXPECT_EQ(watch_.NameToAskFor(), "");
  reachability_.NoteAnswer(start_ + 10ms);
  EXPECT_EQ(watch_.Decide(start_ + 20ms).endpoints.size(), 3U);
}

TEST_F(NetworkWatching, ANameThatIsKnownIsAskedForAndDecides) {
  reachability_.NoteNameServer("known.example", true, start_ - 60s);
  FailThree(NetworkSign::kNoNameServer, start_);
  EXPECT_EQ(watch_.NameToAskFor(), "known.example");
  reachability_.NoteAnswer(start_ + 10ms);  // of an endpoint whose name is remembered
  EXPECT_TRUE(watch_.Decide(start_ + 20ms).endpoints.empty());
  reachability_.NoteNameServer("known.example", true, start_ + 30ms);
  EXPECT_EQ(watch_.Decide(start_ + 40ms).endpoints.size(), 3U);
}

TEST_F(NetworkWatching, NameServersThatDoNotKnowThatNameEitherHaveFailed) {
  reachability_.NoteNameServer("known.example", true, start_ - 60s);
  FailThree(NetworkSign::kNoNameServer, start_);
  EXPECT_FALSE(watch_.Decide(start_ + NetworkWatch::kGraceOfNames - 1ms).went_down);
  EXPECT_TRUE(watch_.Decide(start_ + NetworkWatch::kGraceOfNames).went_down);
}

TEST_F(NetworkWatching, AtAStopWhatIsUndecidedIsRequeued) {
  Fail("a", NetworkSign::kNoRoute, start_);
  watch_.StopKeeping();
  EXPECT_EQ(watch_.Decide(start_).undecided.size(), 1U);
}

// A name server of this machine may answer while nothing else does.
TEST_F(NetworkWatching, ANameServersAnswerEndsOnlyAnOutageOfNames) {
  FailThree(NetworkSign::kNoRoute, start_);
  ASSERT_TRUE(watch_.Decide(start_ + 1s).went_down);
  reachability_.NoteNameServer("known.example", true, start_ + 2s);
  EXPECT_FALSE(watch_.Decide(start_ + 2s).came_up);
  reachability_.NoteAnswer(start_ + 3s);
  ASSERT_TRUE(watch_.Decide(start_ + 3s).came_up);
  FailThree(NetworkSign::kNoNameServer, start_ + 10s);
  ASSERT_TRUE(watch_.Decide(start_ + 11s).went_down);
  reachability_.NoteNameServer("known.example", true, start_ + 12s);
  EXPECT_TRUE(watch_.Decide(start_ + 12s).came_up);
}

}  // namespace
}  // namespace postcall::dispatch
