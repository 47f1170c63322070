#include "dispatcher/dispatch/admission.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "dispatcher/dispatch/allotment.h"

namespace postcall::dispatch {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SteadyTime kStart = SteadyTime() + std::chrono::hours(1);

AgentId AgentOf(int number) { return AgentId("agent-" + std::to_string(number)); }

// An admission whose test need not keep the slots.
class Tested : public Admission {
 public:
  using Admission::Admission;

  std::optional<Slot> Take(int agent, const std::string& endpoint, SteadyTime now = kStart,
                           std::int64_t bytes = 1) {
    std::optional<Slot> slot = TryAdmit(AgentOf(agent), endpoint, now);
    if (slot && !slot->TryHoldBody(bytes)) slot.reset();
    return slot;
  }
  // The slot is held until the end of the test. False when there is none.
  bool Hold(int agent, const std::string& endpoint, SteadyTime now = kStart, std::int64_t bytes = 1) {
    std::optional<Slot> slot = Take(agent, endpoint, now, bytes);
    if (slot) held_.push_back(std::move(*slot));
    return slot.has_value();
  }

 private:
  std::vector<Slot> held_;
};

// The rows that a claim may pick of this agent.
int AllowedFor(Admission& admission, int agent, int wanted, SteadyTime now = kStart) {
  Allotment allotment(admission, now);
  return allotment.One(AgentOf(agent), wanted) == 0 ? 0 : 1 + allotment.More(0);
}

TEST(Admission, NeverAdmitsMoreThanTheInstanceMayHold) {
  Tested admission({.in_flight = 2});
  auto first = admission.Take(1, "a");
  ASSERT_TRUE(first);
  ASSERT_TRUE(admission.Hold(2, "b"));
  EXPECT_EQ(admission.RoomNow(kStart).slots, 0);
  EXPECT_FALSE(admission.Hold(3, "c"));
  std::move(*first).Over(kStart);
  EXPECT_EQ(admission.RoomNow(kStart).slots, 1);
  EXPECT_TRUE(admission.Hold(3, "c"));
}

TEST(Admission, NeverAdmitsMoreThanAnAgentMayHold) {
  Tested admission({.in_flight = 10, .per_agent = 2});
  ASSERT_TRUE(admission.Hold(1, "a"));
  EXPECT_EQ(AllowedFor(admission, 1, 2), 1);
  ASSERT_TRUE(admission.Hold(1, "b"));
  EXPECT_EQ(AllowedFor(admission, 1, 2), 0);
  EXPECT_FALSE(admission.Hold(1, "c"));
  EXPECT_TRUE(admission.Hold(2, "c"));
}

TEST(Admission, KnowsWhoWaitsForAFullEndpointForAsLongAsItIsFull) {
  Tested admission({.in_flight = 10, .per_endpoint = 1});
  ASSERT_TRUE(admission.Hold(1, "shared"));
  EXPECT_FALSE(admission.Hold(2, "shared"));
  for (SteadyTime now = kStart; now < kStart + std::chrono::minutes(10); now += seconds(1)) {
    ASSERT_EQ(AllowedFor(admission, 2, 10, now), 0);
    admission.RoomNow(now);
  }
  EXPECT_EQ(admission.agents(), 2u);
}

TEST(Admission, NeverAdmitsMoreThanAnEndpointMayHoldAndTellsTheNextClaim) {
  Tested admission({.in_flight = 10, .per_endpoint = 1});
  ASSERT_TRUE(admission.Hold(1, "shared"));
  EXPECT_FALSE(admission.Hold(2, "shared"));
  EXPECT_EQ(AllowedFor(admission, 2, 10), 0)
      << "the claim would pick rows of agent 2 and find no slot for them";
  EXPECT_TRUE(admission.Hold(2, "own"));
}

TEST(Admission, LimitsTheBodiesHeldAtOnceButSendsOneThatIsLargerThanTheLimit) {
  Tested admission({.in_flight = 10, .body_bytes = 100});
  auto large = admission.Take(1, "a", kStart, 1000);
  ASSERT_TRUE(large);
  EXPECT_EQ(admission.RoomNow(kStart).slots, 0);
  EXPECT_FALSE(admission.Hold(2, "b", kStart, 1));
  std::move(*large).Over(kStart);
  ASSERT_TRUE(admission.Hold(2, "b", kStart, 60));
  EXPECT_EQ(admission.RoomNow(kStart).body_bytes, 40);
  EXPECT_FALSE(admission.Hold(3, "c", kStart, 60));
  EXPECT_TRUE(admission.Hold(3, "c", kStart, 40));
}

TEST(Admission, SlowAgentsShareAPartOfTheSlots) {
  Tested admission({.in_flight = 8, .slow_share = 0.25});
  for (int agent = 1; agent <= 4; ++agent) ASSERT_TRUE(admission.Hold(agent, std::to_string(agent)));
  const SteadyTime later = kStart + Admission::kSlowAfter;
  admission.RoomNow(later);
  EXPECT_EQ(admission.slow_in_flight(), 4) << "what hangs is slow before it is over";
  EXPECT_EQ(AllowedFor(admission, 1, 10, later), 0);
  EXPECT_FALSE(admission.Hold(1, "1", later));
  EXPECT_TRUE(admission.Hold(5, "5", later)) << "the others have the rest";
}

TEST(Admission, AnAgentRecoversAfterFastDeliveriesInARow) {
  Tested admission({.in_flight = 8, .slow_share = 0.25});
  auto hung = admission.Take(1, "a");
  const SteadyTime over = kStart + seconds(10);
  std::move(*hung).Over(over);
  for (int i = 0; i < Admission::kFastToRecover; ++i) {
    auto fast = admission.Take(1, "a", over);
    ASSERT_TRUE(fast);
    EXPECT_EQ(admission.slow_in_flight(), 1);
    std::move(*fast).Over(over + milliseconds(20));
  }
  ASSERT_TRUE(admission.Hold(1, "a", over));
  EXPECT_EQ(admission.slow_in_flight(), 0);
}

TEST(Admission, OneSlowDeliveryAmongFastOnesKeepsAnAgentSlow) {
  Tested admission({.in_flight = 8});
  auto hangs = admission.Take(1, "a");
  ASSERT_TRUE(hangs);
  const SteadyTime later = kStart + seconds(2);
  admission.RoomNow(later);
  for (int i = 0; i < 2 * Admission::kFastToRecover; ++i) {
    auto fast = admission.Take(1, "a", later);
    ASSERT_TRUE(fast);
    std::move(*fast).Over(later);
  }
  EXPECT_EQ(admission.slow_in_flight(), 1);
}

TEST(Admission, SlownessIsForgottenWhenNothingIsSeenOfTheAgent) {
  Tested admission({.in_flight = 8});
  std::move(*admission.Take(1, "a")).Over(kStart + seconds(10));
  const SteadyTime later = kStart + seconds(11) + Admission::kSlowMemory;
  admission.RoomNow(later);
  ASSERT_TRUE(admission.Hold(1, "a", later));
  EXPECT_EQ(admission.slow_in_flight(), 0);
}

TEST(Admission, ADeliveryThatWasNeverSentSaysNothingAboutTheAgent) {
  Tested admission({.in_flight = 8});
  { const auto never_sent = admission.Take(1, "a"); }
  ASSERT_TRUE(admission.Hold(1, "a", kStart + seconds(10)));
  EXPECT_EQ(admission.slow_in_flight(), 0);
}

TEST(Admission, ASlotIsReleasedOnceHoweverOftenItIsMoved) {
  Tested admission({.in_flight = 8});
  {
    Slot first = *admission.Take(1, "a");
    Slot second = std::move(first);
    first = *admission.Take(2, "b");
    EXPECT_EQ(admission.in_flight(), 2);
    first = std::move(second);
    const Slot none;
    EXPECT_EQ(admission.in_flight(), 2);
  }
  EXPECT_EQ(admission.in_flight(), 0);
  std::move(*admission.Take(1, "a")).Over(kStart);
  EXPECT_EQ(admission.in_flight(), 0);
}

TEST(Admission, AnAgentIsRememberedForAsLongAsItHoldsASlot) {
  Tested admission({.in_flight = 8});
  std::move(*admission.Take(1, "a")).Over(kStart + seconds(10));
  auto waits = admission.Take(1, "a", kStart + seconds(10));
  const SteadyTime later = kStart + seconds(10) + 5 * Admission::kSlowMemory;
  admission.RoomNow(later);
  waits.reset();  // never sent
  admission.RoomNow(later + Admission::kSlowMemory - seconds(1));
  EXPECT_EQ(admission.agents(), 1u) << "it was seen a minute ago, when it held the slot";
  admission.RoomNow(later + Admission::kSlowMemory);
  EXPECT_EQ(admission.agents(), 0u);
}

TEST(Admission, WakesOnceWhenSoManySlotsBecameFree) {
  Tested admission({.in_flight = 8});
  int woken = 0;
  admission.SetWaker([&] { ++woken; });
  std::vector<Slot> slots;
  for (int agent = 1; agent <= 6; ++agent) slots.push_back(*admission.Take(agent, "a"));
  admission.WakeAt(admission.RoomNow(kStart).freed + 2);
  slots.pop_back();
  EXPECT_EQ(woken, 0);
  std::move(slots.back()).Over(kStart);
  EXPECT_EQ(woken, 1);
  slots.pop_back();
  slots.pop_back();
  EXPECT_EQ(woken, 1) << "once";
}

TEST(Admission, WakesAtOnceWhenTheSlotsBecameFreeMeanwhile) {
  Tested admission({.in_flight = 8});
  int woken = 0;
  admission.SetWaker([&] { ++woken; });
  auto first = admission.Take(1, "a");
  auto second = admission.Take(2, "b");
  const std::int64_t freed = admission.RoomNow(kStart).freed;
  first.reset();  // while the claim runs
  admission.WakeAt(freed + 1);
  EXPECT_EQ(woken, 1);
  admission.WakeAt(freed + 2);
  admission.WakeAt(freed + 3);
  second.reset();
  EXPECT_EQ(woken, 1) << "the later number holds";
}

TEST(Admission, DoesNotWakeForASlotThatTheClaimItselfGaveUp) {
  Tested admission({.in_flight = 8, .body_bytes = 10});
  int woken = 0;
  admission.SetWaker([&] { ++woken; });
  ASSERT_TRUE(admission.Hold(1, "a", kStart, 10));
  admission.WakeAt(admission.RoomNow(kStart).freed + 1);
  EXPECT_FALSE(admission.Take(2, "b", kStart, 10)) << "no room for its body";
  EXPECT_EQ(woken, 0);
}

TEST(Admission, PausesEverythingWhenThisMachineRanOut) {
  Tested admission({.in_flight = 8});
  admission.PauseAll(kStart + seconds(1));
  EXPECT_EQ(admission.RoomNow(kStart).slots, 0);
  EXPECT_FALSE(admission.Hold(1, "a"));
  EXPECT_EQ(admission.RoomNow(kStart + seconds(1)).slots, 8);
  EXPECT_TRUE(admission.Hold(1, "a", kStart + seconds(1)));
}

TEST(Admission, PausesOneEndpointAlone) {
  Tested admission({.in_flight = 8});
  { const auto never_sent = admission.Take(1, "a"); }
  admission.PauseEndpoint("a", kStart + seconds(1));
  EXPECT_EQ(AllowedFor(admission, 1, 10), 0);
  EXPECT_FALSE(admission.Hold(1, "a"));
  EXPECT_TRUE(admission.Hold(1, "b"));
  EXPECT_TRUE(admission.Hold(2, "a", kStart + seconds(1)));
}

TEST(Admission, WaitsUntilNothingIsInFlight) {
  Tested admission({.in_flight = 8});
  auto slot = admission.Take(1, "a");
  admission.WaitUntilEmpty(Steady::now() + milliseconds(1));
  EXPECT_EQ(admission.in_flight(), 1) << "returned at the deadline";
  std::move(*slot).Over(kStart);
  admission.WaitUntilEmpty(SteadyTime::max());
  EXPECT_EQ(admission.in_flight(), 0);
}

}  // namespace
}  // namespace postcall::dispatch
