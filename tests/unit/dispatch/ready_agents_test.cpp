#include "dispatcher/dispatch/ready_agents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
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

  // "a3" is agent a with three rows at most; "a3!" when that is less than the share of the others.
  std::vector<std::string> Shares(const char* after, int max_rows, int per_agent,
                                  const std::map<std::string, int>& exceptions = {}) {
    const ReadyAgents::Asked asked =
        ready_.SharesAfter(AgentId(after), max_rows, per_agent, [&](const AgentId& agent) {
          const auto exception = exceptions.find(agent.get());
          return exception == exceptions.end() ? per_agent : exception->second;
        });
    left_out_ = asked.left_out;
    std::vector<std::string> texts;
    for (const store::AgentShare& share : asked.agents) {
      texts.push_back(share.agent_id.get() + std::to_string(share.max_rows) +
                      (share.is_full_share ? "" : "!"));
    }
    return texts;
  }

  std::vector<store::AgentShare> All() const {
    return ready_.SharesAfter(AgentId(), 100, 1, [](const AgentId&) { return 1; }).agents;
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
  EXPECT_THAT(Shares("b", 10, 3), ElementsAre("c3", "d3", "a3", "b3"));
  EXPECT_THAT(Shares("", 10, 3), ElementsAre("a3", "b3", "c3", "d3"));
  EXPECT_FALSE(left_out_);
  EXPECT_THAT(Shares("bb", 3, 3), ElementsAre("c3", "d3", "a3")) << "there are no rows for more agents";
  EXPECT_TRUE(left_out_);
}

TEST_F(ReadyAgentsOf, AClaimAreOnlyThoseThatHaveSlots) {
  for (const char* agent : {"a", "b", "c"}) Add(agent, At(1));
  EXPECT_THAT(Shares("", 10, 5, {{"b", 0}, {"c", 2}, {"other", 1}}), ElementsAre("a5", "c2!"));
}

// However many agents wait for slots, a claim looks at few of them.
TEST_F(ReadyAgentsOf, AClaimAreABoundedNumber) {
  for (int agent = 0; agent <= ReadyAgents::kMostLooks; ++agent)
    Add((std::to_string(agent / 10) + "-" + std::to_string(agent)).c_str(), At(1));
  Add("~", At(1));
  int looked = 0;
  const auto rows_of = [&](const AgentId& agent) {
    ++looked;
    return agent.get() == "~" ? 1 : 0;
  };
  const ReadyAgents::Asked first = ready_.SharesAfter(AgentId(), 10, 1, rows_of);
  EXPECT_EQ(looked, ReadyAgents::kMostLooks);
  EXPECT_THAT(first.agents, IsEmpty());
  EXPECT_TRUE(first.left_out);
  EXPECT_EQ(ready_.SharesAfter(first.last, 10, 1, rows_of).agents.size(), 1U) << "the next claim goes on";
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
  EXPECT_THAT(Shares("", 10, 1), ElementsAre("a1"));
  EXPECT_EQ(From("a"), At(7, 8));
  Add("b", At(9));
  EXPECT_EQ(From("b"), At(9)) << "its earlier rows are gone, and are not looked at again";
}

TEST_F(ReadyAgentsOf, AClaimThatFoundNothingAreNoLongerReady) {
  Add("a", At(1));
  Add("b", At(1));
  ready_.Remove(std::vector{All()[0]}, /*additions=*/2);
  EXPECT_THAT(Shares("", 10, 1), ElementsAre("b1"));
}

// The claim may have looked before the row was there.
TEST_F(ReadyAgentsOf, AClaimKeepARowThatWasAddedMeanwhile) {
  Add("a", At(1));
  Add("b", At(1));
  Add("b", At(5));
  const std::vector<store::AgentProgress> progress{{AgentId("a"), std::nullopt},
                                                   {AgentId("b"), std::nullopt}};
  ready_.Note(progress, /*additions=*/2);
  EXPECT_THAT(Shares("", 10, 1), ElementsAre("b1")) << "b was added after the second addition";
  ready_.Remove(All(), /*additions=*/2);
  EXPECT_THAT(Shares("", 10, 1), ElementsAre("b1"));
  ready_.Remove(All(), /*additions=*/3);
  EXPECT_THAT(Shares("", 10, 1), IsEmpty());
}

}  // namespace
}  // namespace postcall::dispatch
