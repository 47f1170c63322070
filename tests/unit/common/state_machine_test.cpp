#include "common/state_machine.h"

#include <gtest/gtest.h>

#include <array>

namespace postcall {
namespace {

class Door {
 public:
  enum class State { kOpen, kShut, kLocked };

  static constexpr std::array kTransitions = {
      Transition{State::kOpen, State::kShut},
      Transition{State::kShut, State::kOpen},
      Transition{State::kShut, State::kLocked},
  };

  StateMachine<kTransitions> state{State::kOpen};
};

using State = Door::State;

TEST(StateMachine, ChangesAsItsTableAllows) {
  Door door;
  EXPECT_TRUE(door.state.Is(State::kOpen));
  door.state.Enter(State::kShut);
  door.state.Enter(State::kLocked);
  EXPECT_EQ(door.state.state(), State::kLocked);
}

TEST(StateMachine, AllowsNoOtherTransitionNorAStateToItself) {
  using Machine = StateMachine<Door::kTransitions>;
  static_assert(Machine::Allows(State::kShut, State::kOpen));
  static_assert(!Machine::Allows(State::kOpen, State::kLocked));
  static_assert(!Machine::Allows(State::kLocked, State::kShut));
  static_assert(!Machine::Allows(State::kOpen, State::kOpen));
}

TEST(StateMachineDeathTest, EndsTheProcessAtAnyOtherTransition) {
  Door door;
  EXPECT_DEATH(door.state.Enter(State::kLocked), "no transition from state 0 to 2 in .*Door");
}

}  // namespace
}  // namespace postcall
