#include "dispatcher/dispatch/claim_plan.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

namespace postcall::dispatch {
namespace {

using namespace std::chrono_literals;
using Ended = ClaimPace::Ended;

const SteadyTime kStart = SteadyTime() + 1h;

store::ReadyRow RowOf(const std::string& agent, int second) {
  return {AgentId(agent), {DatabaseTime(std::chrono::seconds(second)), DeliveryId(second)}};
}

class Planning : public ::testing::Test {
 protected:
  void Add(const std::string& agent, int second = 1) {
    const std::vector<store::ReadyRow> rows{RowOf(agent, second)};
    plan_.Add(rows);
  }

  // The next claim's agents, with the second of the row from which on it looks: "a1 b3 ".
  static std::string AgentsOf(const ClaimPlan::Ask& ask) {
    std::string agents;
    for (const store::AgentShare& share : ask.limits.agents)
      agents += share.agent_id.get() + std::to_string(share.from.id.get()) + " ";
    return agents;
  }
  ClaimPlan::Ask Asks(SteadyTime now = kStart) { return std::get<ClaimPlan::Ask>(plan_.Next(false, now)); }
  Ended Ends(SteadyTime now = kStart) { return std::get<Ended>(plan_.Next(false, now)); }

  // The claim picked all rows of these agents.
  void Pick(ClaimPlan::Ask& ask, int rows = 1) {
    std::vector<store::AgentProgress> progress;
    for (const store::AgentShare& share : ask.limits.agents)
      progress.push_back({share.agent_id, std::nullopt});
    plan_.NotePicked(ask, rows, progress);
  }

  // Slots of one endpoint, taken by an agent.
  void Hold(const char* agent, const char* endpoint, int count) {
    for (int i = 0; i < count; ++i) {
      held_.push_back(admission_.TryAdmit(AgentId(agent), endpoint, kStart).value());
      held_.back().TryHoldBody(1);
    }
  }

  Admission admission_{{.in_flight = 100, .per_agent = 50, .per_endpoint = 10}};
  SlowReaders slow_readers_;
  ClaimPlan plan_{admission_, slow_readers_};
  std::vector<Slot> held_;
};

TEST_F(Planning, ASecondClaimAsksForWhatTheFirstLeft) {
  EXPECT_EQ(Ends(), Ended::kEmpty);
  Add("a");
  Add("b");
  ClaimPlan::Ask first = Asks();
  EXPECT_EQ(AgentsOf(first), "a1 b1 ");
  const std::vector<store::AgentProgress> progress{{AgentId("a"), std::nullopt},
                                                   {AgentId("b"), RowOf("b", 5).at}};
  plan_.NotePicked(first, 2, progress);
  EXPECT_EQ(AgentsOf(Asks()), "b5 ") << "while the first is open";
}

TEST_F(Planning, RowsThatAClaimLeavesAreAskedForAgain) {
  Add("a");
  ClaimPlan::Ask ask = Asks();
  Pick(ask);
  ASSERT_EQ(Ends(), Ended::kEmpty);
  ClaimMade made;
  made.walk.rows = 3;
  made.walk.left = {RowOf("a", 2)};
  made.to_send = 1;
  EXPECT_EQ(plan_.Note(ask, made, kStart), Ended::kCutShort);
  EXPECT_EQ(AgentsOf(Asks()), "a2 ");
}

TEST_F(Planning, RowsOfAClaimThatWasRolledBackAreAskedForAgain) {
  Add("a");
  ClaimPlan::Ask ask = Asks();
  Pick(ask);
  plan_.PutBack(ask);
  EXPECT_EQ(AgentsOf(Asks()), "a1 ");
  Pick(ask);
  plan_.Note(ask, store::TooMany{.rows = 2, .rows_next = 1});
  EXPECT_EQ(AgentsOf(Asks()), "a1 ");
  Pick(ask);
  EXPECT_TRUE(plan_.Note(ask, store::Unreadable{}).is_of_its_agent);
  EXPECT_EQ(AgentsOf(Asks()), "a1 ");
}

TEST_F(Planning, AgentsOfWhichNoRowWasFoundAreForgotten) {
  Add("a");
  plan_.Note(Asks(), store::Nothing{});
  EXPECT_EQ(Ends(), Ended::kEmpty);
}

TEST_F(Planning, AgentsOfAFullEndpointAreNotAskedFor) {
  Hold("holder", "full", 10);
  admission_.TryAdmit(AgentId("waits"), "full", kStart);
  Add("waits");
  EXPECT_EQ(Ends(), Ended::kFull);
  Add("other");
  EXPECT_EQ(AgentsOf(Asks()), "other1 ");
}

TEST_F(Planning, AClaimThatWaitsForSlotsIsWokenWhenEnoughAreFree) {
  int woken = 0;
  admission_.SetWaker([&] { ++woken; });
  Hold("holder", "full", 10);
  admission_.TryAdmit(AgentId("waits"), "full", kStart);
  Add("waits");
  ASSERT_EQ(Ends(), Ended::kFull);
  held_.resize(9);
  EXPECT_EQ(woken, 0);
  held_.resize(8);
  EXPECT_EQ(woken, 1) << "a fifth of them";
  admission_.SetWaker(nullptr);
}

TEST_F(Planning, AClaimWithoutSlotsForAllAsksToBeWokenAsSoonAsItHasPicked) {
  int woken = 0;
  admission_.SetWaker([&] { ++woken; });
  for (int agent = 0; agent < 12; ++agent) {
    const AgentId id("agent-" + std::to_string(agent));
    admission_.TryAdmit(id, "full", kStart);
    Add(id.get());
  }
  ClaimPlan::Ask ask = Asks();
  ASSERT_EQ(ask.limits.agents.size(), 10U);
  Hold("agent-0", "full", 10);
  Pick(ask);
  held_.resize(5);
  EXPECT_EQ(woken, 1);
  admission_.SetWaker(nullptr);
}

TEST_F(Planning, AClaimOfManyRowsIsWorthFurtherSessionsUntilItsEnd) {
  Add("a");
  ClaimPlan::Ask few = Asks();
  Pick(few, ClaimPlan::kManyRows - 1);
  EXPECT_FALSE(plan_.has_large_claim());
  plan_.PutBack(few);
  for (const bool ends_well : {false, true}) {
    ClaimPlan::Ask many = Asks();
    Pick(many, ClaimPlan::kManyRows);
    EXPECT_TRUE(plan_.has_large_claim());
    if (ends_well) {
      plan_.Note(many, ClaimMade{}, kStart);
    } else {
      plan_.PutBack(many);
    }
    EXPECT_FALSE(plan_.has_large_claim());
  }
}

// The backlog of one agent makes claims ask for many rows of each. The others have one call each.
TEST_F(Planning, AsManyAgentsAreAskedForAsThereAreSlots) {
  Add("busy");
  for (int i = 0; i < 10; ++i) {
    ClaimPlan::Ask ask = Asks();
    ClaimMade made;
    made.walk.rows = made.to_send = 1;
    made.walk.more = true;
    plan_.Note(ask, made, kStart);
  }
  for (int agent = 0; agent < 8; ++agent) {
    const AgentId id("agent-" + std::to_string(agent));
    admission_.TryAdmit(id, "shared", kStart);
    Add(id.get());
  }
  EXPECT_EQ(Asks().limits.agents.size(), 9U);
}

// Otherwise those at the beginning would take each slot that becomes free, as long as they have calls.
TEST_F(Planning, AgentsThatWaitForOthersOfTheirEndpointHaveTheFirstChoiceNextTime) {
  Hold("holder", "full", 8);
  for (const char* agent : {"a", "b", "c", "d"}) {
    admission_.TryAdmit(AgentId(agent), "full", kStart);
    Add(agent);
  }
  Add("other");
  ClaimPlan::Ask first = Asks();
  EXPECT_EQ(AgentsOf(first), "a1 b1 other1 ");
  std::vector<store::AgentProgress> progress;
  for (const store::AgentShare& share : first.limits.agents)
    progress.push_back({share.agent_id, share.from});  // each has more calls
  plan_.NotePicked(first, 3, progress);
  EXPECT_EQ(AgentsOf(Asks()), "c1 d1 other1 ");
}

// So many agents that one look at all of them would take too long.
TEST_F(Planning, AgentsBehindManyThatWaitHaveTheirTurnSoon) {
  Hold("holder", "full", 10);
  for (int agent = 0; agent <= ReadyAgents::kMostLooks; ++agent) {
    const AgentId id("a" + std::to_string(agent));
    admission_.TryAdmit(id, "full", kStart);
    Add(id.get());
  }
  Add("z");
  EXPECT_EQ(Ends(), Ended::kFull) << "no session spins";
  EXPECT_EQ(AgentsOf(Asks()), "z1 ");
}

TEST_F(Planning, SlowReadersAreLeftToTheSlowLane) {
  Add("slow");
  Add("a");
  slow_readers_.NoteTrouble(AgentId("slow"), true, kStart);
  EXPECT_EQ(AgentsOf(Asks()), "a1 ");
}

TEST_F(Planning, OneSessionAtATimeHasTheTurn) {
  std::optional<ClaimPlan::Turn> turn = plan_.WaitForTurn();
  ASSERT_TRUE(turn);
  auto second = std::async(std::launch::async, [&] { return plan_.WaitForTurn().has_value(); });
  EXPECT_FALSE(second.get()) << "after " << ClaimPlan::kWaitForTurn.count() << " ms";
  auto third = std::async(std::launch::async, [&] { return plan_.WaitForTurn().has_value(); });
  turn.reset();
  EXPECT_TRUE(third.get());
}

}  // namespace
}  // namespace postcall::dispatch
