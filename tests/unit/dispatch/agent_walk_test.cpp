#include "dispatcher/dispatch/agent_walk.h"

#include <gtest/gtest.h>

namespace postcall::dispatch {
namespace {

using namespace std::chrono_literals;

class Walking : public ::testing::Test {
 protected:
  // One step of a walk that has as many steps as `at_end` says.
  void Step(const char* last, bool at_end, Steady::duration took = 1ms) {
    now_ += took;
    walk_.Note(AgentId(last), at_end, took, now_);
  }
  void FinishTheFirst() {
    ASSERT_TRUE(walk_.IsDue(now_));
    Step("z", true);
  }

  SteadyTime now_ = SteadyTime() + 1h;
  AgentWalk walk_;
};

TEST_F(Walking, BeginsAtOnceAndGoesOnToTheEnd) {
  EXPECT_TRUE(walk_.IsDue(now_));
  EXPECT_EQ(walk_.after(), AgentId());
  Step("m", false, 100ms);
  EXPECT_TRUE(walk_.IsDue(now_)) << "nothing is known before the first walk";
  EXPECT_EQ(walk_.after(), AgentId("m"));
  Step("z", true);
  EXPECT_FALSE(walk_.IsDue(now_ + 5s)) << "it rests for longer than it took";
  now_ += 10s;
  ASSERT_TRUE(walk_.IsDue(now_));
  Step("z", true);
  EXPECT_FALSE(walk_.IsDue(now_));
  EXPECT_FALSE(walk_.IsDue(now_ + AgentWalk::kEvery - 1ms));
  EXPECT_TRUE(walk_.IsDue(now_ + AgentWalk::kEvery));
  EXPECT_EQ(walk_.after(), AgentId());
}

TEST_F(Walking, TakesAFewPerCentOfTheTime) {
  FinishTheFirst();
  now_ += AgentWalk::kEvery;
  ASSERT_TRUE(walk_.IsDue(now_));
  Step("m", false, 40ms);
  EXPECT_FALSE(walk_.IsDue(now_ + 100ms)) << "claims come between its steps";
  now_ += 1s;
  ASSERT_TRUE(walk_.IsDue(now_));
  Step("z", true, 960ms);
  EXPECT_FALSE(walk_.IsDue(now_ + 49s));
  EXPECT_TRUE(walk_.IsDue(now_ + 50s));
}

TEST_F(Walking, BeginsAgainWhenTheFeedMayHaveMissedRows) {
  FinishTheFirst();
  walk_.Request();
  EXPECT_TRUE(walk_.IsDue(now_ + 10s));
  EXPECT_EQ(walk_.after(), AgentId());
}

TEST_F(Walking, ThatIsRequestedMeanwhileFollowsThePresentOne) {
  ASSERT_TRUE(walk_.IsDue(now_));
  Step("m", false);
  walk_.Request();
  EXPECT_TRUE(walk_.IsDue(now_));
  EXPECT_EQ(walk_.after(), AgentId("m")) << "the present walk goes on";
  Step("z", true);
  EXPECT_TRUE(walk_.IsDue(now_ + 1s));
  EXPECT_EQ(walk_.after(), AgentId());
}

TEST_F(Walking, StepsAreAsLongAsClaimsMayWait) {
  ASSERT_TRUE(walk_.IsDue(now_));
  EXPECT_EQ(walk_.max_agents(), AgentWalk::kFewAgents);
  Step("b", false, 1ms);
  EXPECT_EQ(walk_.max_agents(), 2 * AgentWalk::kFewAgents);
  for (int i = 0; i < 10; ++i) Step("b", false, 1ms);
  EXPECT_EQ(walk_.max_agents(), AgentWalk::kMostAgents);
  Step("c", false, 25ms);
  EXPECT_EQ(walk_.max_agents(), AgentWalk::kMostAgents / 2);
}

}  // namespace
}  // namespace postcall::dispatch
