#include "dispatcher/dispatch/outbox_walk.h"

#include <gtest/gtest.h>

namespace postcall::dispatch {
namespace {

using namespace std::chrono_literals;

class Walking : public ::testing::Test {
 protected:
  void Step(bool at_end, Steady::duration took = 1ms) {
    now_ += took;
    walk_.Note(at_end, took, now_);
  }
  void FinishTheFirst() {
    ASSERT_TRUE(walk_.IsDue(now_));
    Step(true);
  }

  SteadyTime now_ = SteadyTime() + 1h;
  OutboxWalk walk_;
};

TEST_F(Walking, BeginsAtOnceAndGoesOnToTheEnd) {
  EXPECT_TRUE(walk_.IsDue(now_));
  EXPECT_EQ(walk_.first_page(), 0);
  Step(false, 100ms);
  EXPECT_TRUE(walk_.IsDue(now_)) << "nothing is known before the first walk";
  EXPECT_EQ(walk_.first_page(), OutboxWalk::kFewPages);
  Step(true);
  EXPECT_FALSE(walk_.IsDue(now_ + 5s)) << "it rests for longer than it took";
  now_ += 10s;
  ASSERT_TRUE(walk_.IsDue(now_));
  Step(true);
  EXPECT_FALSE(walk_.IsDue(now_));
  EXPECT_FALSE(walk_.IsDue(now_ + OutboxWalk::kEvery - 1ms));
  EXPECT_TRUE(walk_.IsDue(now_ + OutboxWalk::kEvery));
  EXPECT_EQ(walk_.first_page(), 0);
}

TEST_F(Walking, TakesAFewPerCentOfTheTime) {
  FinishTheFirst();
  now_ += OutboxWalk::kEvery;
  ASSERT_TRUE(walk_.IsDue(now_));
  Step(false, 40ms);
  EXPECT_FALSE(walk_.IsDue(now_ + 100ms)) << "claims come between its steps";
  now_ += 1s;
  ASSERT_TRUE(walk_.IsDue(now_));
  Step(true, 960ms);
  EXPECT_FALSE(walk_.IsDue(now_ + 49s));
  EXPECT_TRUE(walk_.IsDue(now_ + 50s));
}

TEST_F(Walking, BeginsAgainWhenTheFeedMayHaveMissedRows) {
  FinishTheFirst();
  walk_.Request();
  EXPECT_TRUE(walk_.IsDue(now_ + 10s));
  EXPECT_EQ(walk_.first_page(), 0);
}

TEST_F(Walking, ThatIsRequestedMeanwhileFollowsThePresentOne) {
  ASSERT_TRUE(walk_.IsDue(now_));
  Step(false);
  walk_.Request();
  EXPECT_TRUE(walk_.IsDue(now_));
  EXPECT_EQ(walk_.first_page(), OutboxWalk::kFewPages) << "the present walk goes on";
  Step(true);
  EXPECT_TRUE(walk_.IsDue(now_ + 1s));
  EXPECT_EQ(walk_.first_page(), 0);
}

TEST_F(Walking, StepsAreAsLongAsClaimsMayWait) {
  ASSERT_TRUE(walk_.IsDue(now_));
  EXPECT_EQ(walk_.pages(), OutboxWalk::kFewPages);
  Step(false, 1ms);
  EXPECT_EQ(walk_.pages(), 2 * OutboxWalk::kFewPages);
  for (int i = 0; i < 10; ++i) Step(false, 1ms);
  EXPECT_EQ(walk_.pages(), OutboxWalk::kMostPages);
  Step(false, 25ms);
  EXPECT_EQ(walk_.pages(), OutboxWalk::kMostPages / 2);
}

}  // namespace
}  // namespace postcall::dispatch
