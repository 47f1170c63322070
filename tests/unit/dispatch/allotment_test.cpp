#include "dispatcher/dispatch/allotment.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace postcall::dispatch {
namespace {

const SteadyTime kStart = SteadyTime() + std::chrono::hours(1);

class AllotmentOf : public ::testing::Test {
 protected:
  // The agent is known, with so many deliveries in flight.
  void Hold(const std::string& agent, const std::string& endpoint, int count, SteadyTime since = kStart) {
    for (int i = 0; i < count; ++i) {
      std::optional<Slot> slot = admission_.TryAdmit(AgentId(agent), endpoint, since);
      ASSERT_TRUE(slot) << agent;
      slot->TryHoldBody(1);
      held_.push_back(std::move(*slot));
    }
  }
  void Know(const std::string& agent, const std::string& endpoint) {
    admission_.TryAdmit(AgentId(agent), endpoint, kStart);
  }

  Admission admission_{{.in_flight = 1000, .per_agent = 50, .per_endpoint = 100, .slow_share = 0.1}};
  std::vector<Slot> held_;
};

TEST_F(AllotmentOf, AnEndpointIsSharedByItsAgents) {
  Hold("a", "full", 50);
  Hold("b", "full", 46);
  Know("c", "full");
  Know("d", "other");
  Allotment allotment(admission_, kStart);
  EXPECT_EQ(allotment.For(AgentId("b"), 3), 3);
  EXPECT_EQ(allotment.For(AgentId("c"), 3), 1) << "all four that are left";
  EXPECT_EQ(allotment.For(AgentId("a"), 3), 0) << "its own limit is used up, too";
  EXPECT_EQ(allotment.For(AgentId("d"), 3), 3) << "another endpoint";
  EXPECT_TRUE(allotment.some_wait());
}

TEST_F(AllotmentOf, SlowAgentsComesOutOfTheirCommonShare) {
  for (const char* agent : {"a", "b", "c"}) Hold(agent, agent, 30);
  const SteadyTime later = kStart + Admission::kSlowAfter;
  admission_.RoomNow(later);
  Know("fast", "fast");
  Allotment allotment(admission_, later);
  EXPECT_EQ(allotment.For(AgentId("a"), 8), 8);
  EXPECT_EQ(allotment.For(AgentId("b"), 8), 2) << "of 100 slots, 90 are taken";
  EXPECT_EQ(allotment.For(AgentId("c"), 8), 0);
  EXPECT_EQ(allotment.For(AgentId("fast"), 8), 8);
}

TEST_F(AllotmentOf, AStrangerIsWhatAnAgentMayHave) {
  Allotment allotment(admission_, kStart);
  EXPECT_EQ(allotment.For(AgentId("new"), 7), 7);
  EXPECT_EQ(allotment.For(AgentId("another"), 400), 50) << "the limit of an agent";
  EXPECT_TRUE(allotment.IsWorthwhile());
  EXPECT_FALSE(allotment.some_wait());
}

TEST_F(AllotmentOf, AFullEndpointIsWorthwhileWhenAFifthOfItIsFree) {
  Hold("a", "full", 50);
  Hold("b", "full", 33);
  Know("c", "full");
  {
    Allotment few(admission_, kStart);
    few.For(AgentId("c"), 50);
    EXPECT_EQ(few.For(AgentId("b"), 10), 0);
    EXPECT_FALSE(few.IsWorthwhile()) << "17 are free and 83 are taken";
  }
  held_.resize(80);
  Allotment enough(admission_, kStart);
  enough.For(AgentId("c"), 50);
  EXPECT_EQ(enough.For(AgentId("b"), 10), 0);
  EXPECT_TRUE(enough.IsWorthwhile()) << "20 are free and 80 are taken";
}

TEST_F(AllotmentOf, AFullEndpointDoesNotHoldUpAnother) {
  Hold("a", "full", 50);
  Hold("b", "full", 45);
  Know("c", "other");
  Know("d", "full");
  Allotment allotment(admission_, kStart);
  allotment.For(AgentId("d"), 8);
  EXPECT_FALSE(allotment.IsWorthwhile());
  allotment.For(AgentId("c"), 1);
  EXPECT_TRUE(allotment.IsWorthwhile());
}

TEST_F(AllotmentOf, AnAgentIsWorthwhileWhenAFifthOfItsOwnLimitIsFree) {
  Hold("a", "a", 44);
  Allotment few(admission_, kStart);
  EXPECT_EQ(few.For(AgentId("a"), 11), 6);
  EXPECT_TRUE(few.some_wait());
  EXPECT_FALSE(few.IsWorthwhile());
  held_.resize(40);
  Allotment enough(admission_, kStart);
  EXPECT_EQ(enough.For(AgentId("a"), 11), 10);
  EXPECT_TRUE(enough.IsWorthwhile());
}

TEST_F(AllotmentOf, TheWholeInstanceIsWorthwhileWhenEnoughOfItIsFree) {
  for (int agent = 0; agent < 19; ++agent) Hold(std::to_string(agent), std::to_string(agent / 2), 50);
  Know("new", "new");
  Allotment few(admission_, kStart);
  few.For(AgentId("new"), 50);
  EXPECT_TRUE(few.IsWorthwhile()) << "there are slots for all that it wants";
  few.For(AgentId("stranger"), 50);
  EXPECT_FALSE(few.IsWorthwhile()) << "50 are free, and 100 are wanted";
  held_.resize(800);
  Allotment enough(admission_, kStart);
  for (int agent = 0; agent < 9; ++agent) enough.For(AgentId("stranger " + std::to_string(agent)), 50);
  EXPECT_TRUE(enough.IsWorthwhile()) << Allotment::kEnough << " are free";
}

TEST_F(AllotmentOf, APausedEndpointIsNothing) {
  Know("a", "paused");
  admission_.PauseEndpoint("paused", kStart + std::chrono::seconds(1));
  EXPECT_EQ(Allotment(admission_, kStart).For(AgentId("a"), 1), 0);
  EXPECT_EQ(Allotment(admission_, kStart + std::chrono::seconds(1)).For(AgentId("a"), 1), 1);
}

}  // namespace
}  // namespace postcall::dispatch
