#include "dispatcher/dispatch/ready_agents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace postcall::dispatch {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

store::RowPosition At(int second, int id = 1) {
  return {DatabaseTime(std::chrono::seconds(second)), DeliveryId(id)};
}

class ReadyAgentsOf : public ::testing::Test {
 protected:
  void Add(const char* agent, store::RowPosition at) { ready_.Add({AgentId(agent), at}); }

  std::vector<std::string> Shares(const char* after, int max_rows, const std::set<std::string>& full = {}) {
    const ReadyAgents::Asked asked = ready_.SharesAfter(
        AgentId(after), max_rows, [&](const AgentId& agent) { return !full.contains(agent.get()); });
    left_out_ = asked.left_out;
    std::vector<std::string> agents;
    for (const store::AgentShare& share : asked.agents) agents.push_back(share.agent_id.get());
    return agents;
  }

  std::vector<store::AgentShare> All() const {
    return ready_.SharesAfter(AgentId(), 100, [](const AgentId&) { return true; }).agents;
  }

  store::RowPosition From(const char* agent) const {
    for (const store::AgentShare& share : All()) {
      if (share.agent_id.get() == agent) return share.from;
    }
    return {};
  }

  ReadyAgents ready_;
  bool left_out_ = false;  // of the last Shares
};

TEST_F(ReadyAgentsOf, AClaimBeginAfterTheAgentOfTheLastOneAndGoAround) {
  for (const char* agent : {"c", "a", "d", "b"}) Add(agent, At(1));
  EXPECT_THAT(Shares("b", 10), ElementsAre("c", "d", "a", "b"));
  EXPECT_THAT(Shares("", 10), ElementsAre("a", "b", "c", "d"));
  EXPECT_FALSE(left_out_);
  EXPECT_THAT(Shares("bb", 3), ElementsAre("c", "d", "a")) << "there are no rows for more agents";
  EXPECT_TRUE(left_out_);
}

TEST_F(ReadyAgentsOf, AClaimAreOnlyThoseThatHaveSlots) {
  for (const char* agent : {"a", "b", "c"}) Add(agent, At(1));
  EXPECT_THAT(Shares("", 10, {"b", "other"}), ElementsAre("a", "c"));
}

// However many agents wait for slots, a claim looks at few of them.
TEST_F(ReadyAgentsOf, AClaimAreABoundedNumber) {
  for (int agent = 0; agent <= ReadyAgents::kMostLooks; ++agent)
    Add((std::to_string(agent / 10) + "-" + std::to_string(agent)).c_str(), At(1));
  Add("~", At(1));
  int looked = 0;
  const auto has_slot = [&](const AgentId& agent) {
    ++looked;
    return agent.get() == "~";
  };
  const ReadyAgents::Asked first = ready_.SharesAfter(AgentId(), 10, has_slot);
  EXPECT_EQ(looked, ReadyAgents::kMostLooks);
  EXPECT_THAT(first.agents, IsEmpty());
  EXPECT_TRUE(first.left_out);
  EXPECT_EQ(ready_.SharesAfter(first.last, 10, has_slot).agents.size(), 1U) << "the next claim goes on";
}

TEST_F(ReadyAgentsOf, AnAgentTheFirstPositionCounts) {
  Add("a", At(5));
  Add("a", At(3));
  Add("a", At(4));
  EXPECT_EQ(From("a"), At(3));
}

TEST_F(ReadyAgentsOf, AClaimContinueWhereItEnded) {
  Add("a", At(1));
  Add("b", At(1));
  ready_.Note(std::vector<store::AgentProgress>{{AgentId("a"), At(7, 8)}, {AgentId("b"), std::nullopt}},
              /*additions=*/2);
  EXPECT_THAT(Shares("", 10), ElementsAre("a"));
  EXPECT_EQ(From("a"), At(7, 8));
  Add("b", At(9));
  EXPECT_EQ(From("b"), At(9)) << "its earlier rows are gone, and are not looked at again";
}

TEST_F(ReadyAgentsOf, AClaimThatFoundNothingAreNoLongerReady) {
  Add("a", At(1));
  Add("b", At(1));
  ready_.Remove(std::vector{All()[0]}, /*additions=*/2);
  EXPECT_THAT(Shares("", 10), ElementsAre("b"));
}

// The claim may have looked before the row was there.
TEST_F(ReadyAgentsOf, AClaimKeepARowThatWasAddedMeanwhile) {
  Add("a", At(1));
  Add("b", At(1));
  Add("b", At(5));
  const std::vector<store::AgentProgress> progress{{AgentId("a"), std::nullopt},
                                                   {AgentId("b"), std::nullopt}};
  ready_.Note(progress, /*additions=*/2);
  EXPECT_THAT(Shares("", 10), ElementsAre("b")) << "b was added after the second addition";
  ready_.Remove(All(), /*additions=*/2);
  EXPECT_THAT(Shares("", 10), ElementsAre("b"));
  ready_.Remove(All(), /*additions=*/3);
  EXPECT_THAT(Shares("", 10), IsEmpty());
}

}  // namespace
}  // namespace postcall::dispatch
