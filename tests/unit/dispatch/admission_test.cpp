#include "dispatcher/dispatch/admission.h"

#include <gtest/gtest.h>

#include <optional>

namespace postcall::dispatch {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SteadyTime kStart = SteadyTime() + std::chrono::hours(1);

AgentId Agent(int number) { return AgentId("agent-" + std::to_string(number)); }

std::optional<Admission::Ticket> Admit(Admission& admission, int agent, const std::string& endpoint,
                                       SteadyTime now = kStart, std::int64_t bytes = 1) {
  Admission::Ticket ticket;
  if (!admission.TryAdmit(Agent(agent), endpoint, now, ticket)) return std::nullopt;
  if (admission.TryHoldBody(ticket, bytes)) return ticket;
  admission.Release(ticket, /*counts=*/false, now);
  return std::nullopt;
}

int AllowedFor(const Admission::Room& room, int agent, int otherwise) {
  for (const auto& [id, allowed] : room.exceptions) {
    if (id == Agent(agent)) return allowed;
  }
  return otherwise;
}

TEST(Admission, NeverAdmitsMoreThanTheInstanceMayHold) {
  Admission admission({.in_flight = 2});
  const auto first = Admit(admission, 1, "a");
  ASSERT_TRUE(first);
  ASSERT_TRUE(Admit(admission, 2, "b"));
  EXPECT_EQ(admission.RoomFor(10, kStart).slots, 0);
  EXPECT_FALSE(Admit(admission, 3, "c"));
  admission.Release(*first, true, kStart);
  EXPECT_EQ(admission.RoomFor(10, kStart).slots, 1);
  EXPECT_TRUE(Admit(admission, 3, "c"));
}

TEST(Admission, NeverAdmitsMoreThanAnAgentMayHold) {
  Admission admission({.in_flight = 10, .per_agent = 2});
  ASSERT_TRUE(Admit(admission, 1, "a"));
  EXPECT_EQ(AllowedFor(admission.RoomFor(2, kStart), 1, 2), 1);
  ASSERT_TRUE(Admit(admission, 1, "b"));
  EXPECT_EQ(AllowedFor(admission.RoomFor(2, kStart), 1, 2), 0);
  EXPECT_FALSE(Admit(admission, 1, "c"));
  EXPECT_TRUE(Admit(admission, 2, "c"));
}

TEST(Admission, KnowsWhoWaitsForAFullEndpointForAsLongAsItIsFull) {
  Admission admission({.in_flight = 10, .per_endpoint = 1});
  ASSERT_TRUE(Admit(admission, 1, "shared"));
  EXPECT_FALSE(Admit(admission, 2, "shared"));
  for (SteadyTime now = kStart; now < kStart + std::chrono::minutes(10); now += seconds(1)) {
    ASSERT_EQ(AllowedFor(admission.RoomFor(10, now), 2, 10), 0);
  }
  EXPECT_EQ(admission.agents(), 2u);
}

TEST(Admission, NeverAdmitsMoreThanAnEndpointMayHoldAndTellsTheNextClaim) {
  Admission admission({.in_flight = 10, .per_endpoint = 1});
  ASSERT_TRUE(Admit(admission, 1, "shared"));
  EXPECT_FALSE(Admit(admission, 2, "shared"));
  EXPECT_EQ(AllowedFor(admission.RoomFor(10, kStart), 2, 10), 0) << "the claim would take agent 2 in vain";
  EXPECT_TRUE(Admit(admission, 2, "own"));
}

TEST(Admission, LimitsTheBodiesHeldAtOnceButSendsOneThatIsLargerThanTheLimit) {
  Admission admission({.in_flight = 10, .body_bytes = 100});
  const auto large = Admit(admission, 1, "a", kStart, 1000);
  ASSERT_TRUE(large);
  EXPECT_EQ(admission.RoomFor(10, kStart).slots, 0);
  EXPECT_FALSE(Admit(admission, 2, "b", kStart, 1));
  admission.Release(*large, true, kStart);
  ASSERT_TRUE(Admit(admission, 2, "b", kStart, 60));
  EXPECT_EQ(admission.RoomFor(10, kStart).body_bytes, 40);
  EXPECT_FALSE(Admit(admission, 3, "c", kStart, 60));
  EXPECT_TRUE(Admit(admission, 3, "c", kStart, 40));
}

TEST(Admission, SlowAgentsShareAPartOfTheSlots) {
  Admission admission({.in_flight = 8, .slow_share = 0.25});
  for (int agent = 1; agent <= 4; ++agent) ASSERT_TRUE(Admit(admission, agent, std::to_string(agent)));
  const SteadyTime later = kStart + Admission::kSlowAfter;
  const Admission::Room room = admission.RoomFor(10, later);
  EXPECT_EQ(admission.slow_in_flight(), 4) << "what hangs is slow before it is over";
  EXPECT_EQ(AllowedFor(room, 1, 10), 0);
  EXPECT_FALSE(Admit(admission, 1, "1", later));
  EXPECT_TRUE(Admit(admission, 5, "5", later)) << "the others have the rest";
}

TEST(Admission, AnAgentRecoversAfterFastDeliveriesInARow) {
  Admission admission({.in_flight = 8, .slow_share = 0.25});
  const auto hung = Admit(admission, 1, "a");
  const SteadyTime over = kStart + seconds(10);
  admission.Release(*hung, true, over);
  for (int i = 0; i < Admission::kFastToRecover; ++i) {
    const auto fast = Admit(admission, 1, "a", over);
    ASSERT_TRUE(fast);
    EXPECT_EQ(admission.slow_in_flight(), 1);
    admission.Release(*fast, true, over + milliseconds(20));
  }
  ASSERT_TRUE(Admit(admission, 1, "a", over));
  EXPECT_EQ(admission.slow_in_flight(), 0);
}

TEST(Admission, OneSlowDeliveryAmongFastOnesKeepsAnAgentSlow) {
  Admission admission({.in_flight = 8});
  const auto hangs = Admit(admission, 1, "a");
  ASSERT_TRUE(hangs);
  const SteadyTime later = kStart + seconds(2);
  admission.RoomFor(10, later);
  for (int i = 0; i < 2 * Admission::kFastToRecover; ++i) {
    const auto fast = Admit(admission, 1, "a", later);
    ASSERT_TRUE(fast);
    admission.Release(*fast, true, later);
  }
  EXPECT_EQ(admission.slow_in_flight(), 1);
}

TEST(Admission, SlownessIsForgottenWhenNothingIsSeenOfTheAgent) {
  Admission admission({.in_flight = 8});
  admission.Release(*Admit(admission, 1, "a"), true, kStart + seconds(10));
  const SteadyTime later = kStart + seconds(11) + Admission::kSlowMemory;
  admission.RoomFor(10, later);
  ASSERT_TRUE(Admit(admission, 1, "a", later));
  EXPECT_EQ(admission.slow_in_flight(), 0);
}

TEST(Admission, ADeliveryThatWasNeverSentSaysNothingAboutTheAgent) {
  Admission admission({.in_flight = 8});
  admission.Release(*Admit(admission, 1, "a"), false, kStart + seconds(10));
  ASSERT_TRUE(Admit(admission, 1, "a", kStart + seconds(10)));
  EXPECT_EQ(admission.slow_in_flight(), 0);
}

TEST(Admission, PausesEverythingWhenThisMachineRanOut) {
  Admission admission({.in_flight = 8});
  admission.PauseAll(kStart + seconds(1));
  EXPECT_EQ(admission.RoomFor(10, kStart).slots, 0);
  EXPECT_FALSE(Admit(admission, 1, "a"));
  EXPECT_EQ(admission.RoomFor(10, kStart + seconds(1)).slots, 8);
  EXPECT_TRUE(Admit(admission, 1, "a", kStart + seconds(1)));
}

TEST(Admission, PausesOneEndpointAlone) {
  Admission admission({.in_flight = 8});
  admission.Release(*Admit(admission, 1, "a"), false, kStart);
  admission.PauseEndpoint("a", kStart + seconds(1));
  EXPECT_EQ(AllowedFor(admission.RoomFor(10, kStart), 1, 10), 0);
  EXPECT_FALSE(Admit(admission, 1, "a"));
  EXPECT_TRUE(Admit(admission, 1, "b"));
  EXPECT_TRUE(Admit(admission, 2, "a", kStart + seconds(1)));
}

TEST(Admission, WaitsUntilNothingIsInFlight) {
  Admission admission({.in_flight = 8});
  const auto slot = Admit(admission, 1, "a");
  admission.WaitUntilEmpty(Steady::now() + milliseconds(1));
  EXPECT_EQ(admission.in_flight(), 1) << "returned at the deadline";
  admission.Release(*slot, true, kStart);
  admission.WaitUntilEmpty(SteadyTime::max());
  EXPECT_EQ(admission.in_flight(), 0);
}

}  // namespace
}  // namespace postcall::dispatch
