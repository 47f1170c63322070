#include "dispatcher/dispatch/ready_agents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

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
                                  std::vector<std::pair<AgentId, int>> exceptions = {}) const {
    std::vector<std::string> texts;
    for (const store::AgentShare& share : ready_.Shares(AgentId(after), max_rows, per_agent, exceptions)) {
      texts.push_back(share.agent_id.get() + std::to_string(share.max_rows) +
                      (share.is_full_share ? "" : "!"));
    }
    return texts;
  }

  store::RowPosition From(const char* agent) const {
    for (const store::AgentShare& share : ready_.Shares(AgentId(), 100, 1, {})) {
      if (share.agent_id.get() == agent) return share.from;
    }
    return {};
  }

  ReadyAgents ready_;
};

TEST_F(ReadyAgentsOf, AClaimBeginAfterTheAgentOfTheLastOneAndGoAround) {
  for (const char* agent : {"c", "a", "d", "b"}) Add(agent, At(1));
  EXPECT_THAT(Shares("b", 10, 3), ElementsAre("c3", "d3", "a3", "b3"));
  EXPECT_THAT(Shares("", 10, 3), ElementsAre("a3", "b3", "c3", "d3"));
  EXPECT_THAT(Shares("bb", 3, 3), ElementsAre("c3", "d3", "a3")) << "there are no rows for more agents";
}

TEST_F(ReadyAgentsOf, AClaimAreOnlyThoseThatHaveSlots) {
  for (const char* agent : {"a", "b", "c"}) Add(agent, At(1));
  EXPECT_THAT(Shares("", 10, 5, {{AgentId("b"), 0}, {AgentId("c"), 2}, {AgentId("other"), 1}}),
              ElementsAre("a5", "c2!"));
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
  ready_.Note(std::vector<store::AgentProgress>{{AgentId("a"), At(7, 8)}, {AgentId("b"), std::nullopt}});
  EXPECT_THAT(Shares("", 10, 1), ElementsAre("a1"));
  EXPECT_EQ(From("a"), At(7, 8));
  Add("b", At(9));
  EXPECT_EQ(From("b"), At(9)) << "its earlier rows are gone, and are not looked at again";
}

TEST_F(ReadyAgentsOf, AClaimThatFoundNothingAreNoLongerReady) {
  Add("a", At(1));
  Add("b", At(1));
  ready_.Remove(ready_.Shares(AgentId(), 1, 1, {}));
  EXPECT_THAT(Shares("", 10, 1), ElementsAre("b1"));
}

}  // namespace
}  // namespace postcall::dispatch
