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
  Hold("b", "full", 48);
  for (const char* agent : {"c", "d"}) Know(agent, "full");
  Know("e", "other");
  Allotment allotment(admission_, kStart);
  EXPECT_EQ(allotment.One(AgentId("a"), 3), 0) << "its own limit is used up";
  EXPECT_FALSE(allotment.last_waits_for_others());
  EXPECT_EQ(allotment.One(AgentId("c"), 3), 1);
  EXPECT_EQ(allotment.One(AgentId("d"), 3), 1);
  EXPECT_FALSE(allotment.last_waits_for_others());
  EXPECT_EQ(allotment.One(AgentId("b"), 1), 0) << "there were two";
  EXPECT_TRUE(allotment.last_waits_for_others());
  EXPECT_EQ(allotment.One(AgentId("e"), 3), 1) << "another endpoint";
  EXPECT_FALSE(allotment.last_waits_for_others());
  EXPECT_TRUE(allotment.some_wait());
}

// Few of the agents have more than one call.
TEST_F(AllotmentOf, AnEndpointIsOneRowOfEachAgentBeforeASecondOfAny) {
  Hold("busy", "full", 40);
  for (const char* agent : {"a", "b", "c"}) Know(agent, "full");
  Allotment allotment(admission_, kStart);
  for (const char* agent : {"a", "b", "c"}) EXPECT_EQ(allotment.One(AgentId(agent), 40), 1) << agent;
  EXPECT_EQ(allotment.More(0), 39);
  EXPECT_EQ(allotment.More(1), 18) << "60 were free";
  EXPECT_EQ(allotment.More(2), 0);
  EXPECT_FALSE(allotment.some_wait()) << "each has its call";
  EXPECT_TRUE(allotment.IsWorthwhile());
}

TEST_F(AllotmentOf, SlowAgentsComesOutOfTheirCommonShare) {
  for (const char* agent : {"a", "b", "c"}) Hold(agent, agent, 33);
  const SteadyTime later = kStart + Admission::kSlowAfter;
  admission_.RoomNow(later);
  Know("fast", "fast");
  Allotment allotment(admission_, later);
  EXPECT_EQ(allotment.One(AgentId("a"), 8), 1);
  EXPECT_EQ(allotment.One(AgentId("b"), 8), 0) << "of 100 slots, 99 were taken";
  EXPECT_TRUE(allotment.last_waits_for_others());
  EXPECT_EQ(allotment.One(AgentId("fast"), 8), 1);
  EXPECT_EQ(allotment.More(0), 0);
  EXPECT_EQ(allotment.More(1), 7);
}

TEST_F(AllotmentOf, AStrangerIsWhatAnAgentMayHave) {
  Allotment allotment(admission_, kStart);
  EXPECT_EQ(allotment.One(AgentId("new"), 7), 1);
  EXPECT_EQ(allotment.One(AgentId("another"), 400), 1);
  EXPECT_EQ(allotment.More(0), 6);
  EXPECT_EQ(allotment.More(1), 49) << "the limit of an agent";
  EXPECT_TRUE(allotment.IsWorthwhile());
  EXPECT_FALSE(allotment.some_wait());
}

TEST_F(AllotmentOf, AFullEndpointIsWorthwhileWhenAFifthOfItIsFree) {
  Hold("a", "full", 50);
  Hold("b", "full", 33);
  for (int agent = 0; agent < 30; ++agent) Know(std::to_string(agent), "full");
  {
    Allotment few(admission_, kStart);
    for (int agent = 0; agent < 30; ++agent) few.One(AgentId(std::to_string(agent)), 1);
    EXPECT_EQ(few.rows(), 17);
    EXPECT_FALSE(few.IsWorthwhile()) << "83 are taken";
  }
  held_.resize(80);
  Allotment enough(admission_, kStart);
  for (int agent = 0; agent < 30; ++agent) enough.One(AgentId(std::to_string(agent)), 1);
  EXPECT_EQ(enough.rows(), 20);
  EXPECT_TRUE(enough.IsWorthwhile()) << "80 are taken";
}

TEST_F(AllotmentOf, AFullEndpointDoesNotHoldUpAnother) {
  Hold("a", "full", 50);
  Hold("b", "full", 49);
  for (const char* agent : {"c", "d"}) Know(agent, "full");
  Know("e", "other");
  Allotment allotment(admission_, kStart);
  allotment.One(AgentId("c"), 1);
  allotment.One(AgentId("d"), 1);
  EXPECT_FALSE(allotment.IsWorthwhile());
  allotment.One(AgentId("e"), 1);
  EXPECT_TRUE(allotment.IsWorthwhile());
}

TEST_F(AllotmentOf, AnAgentIsWorthwhileWhenAFifthOfItsOwnLimitIsFree) {
  Hold("a", "a", 44);
  Allotment few(admission_, kStart);
  EXPECT_EQ(few.One(AgentId("a"), 11), 1);
  EXPECT_EQ(few.More(0), 5);
  EXPECT_TRUE(few.some_wait());
  EXPECT_FALSE(few.IsWorthwhile());
  held_.resize(40);
  Allotment enough(admission_, kStart);
  EXPECT_EQ(enough.One(AgentId("a"), 11), 1);
  EXPECT_EQ(enough.More(0), 9);
  EXPECT_TRUE(enough.IsWorthwhile());
}

TEST_F(AllotmentOf, TheWholeInstanceIsWorthwhileWhenEnoughOfItIsFree) {
  for (int agent = 0; agent < 19; ++agent) Hold(std::to_string(agent), std::to_string(agent / 2), 50);
  Allotment few(admission_, kStart);
  for (int agent = 0; agent < 50; ++agent) few.One(AgentId("stranger " + std::to_string(agent)), 9);
  EXPECT_TRUE(few.IsWorthwhile()) << "each has a slot";
  few.One(AgentId("one more"), 9);
  EXPECT_FALSE(few.IsWorthwhile()) << "50 are free";
  held_.resize(800);
  Allotment enough(admission_, kStart);
  for (int agent = 0; agent < 300; ++agent) enough.One(AgentId("stranger " + std::to_string(agent)), 9);
  EXPECT_TRUE(enough.IsWorthwhile()) << Allotment::kEnough << " are free";
}

TEST_F(AllotmentOf, APausedEndpointIsNothing) {
  Know("a", "paused");
  admission_.PauseEndpoint("paused", kStart + std::chrono::seconds(1));
  EXPECT_EQ(Allotment(admission_, kStart).One(AgentId("a"), 1), 0);
  EXPECT_EQ(Allotment(admission_, kStart + std::chrono::seconds(1)).One(AgentId("a"), 1), 1);
}

}  // namespace
}  // namespace postcall::dispatch
