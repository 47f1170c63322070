// A state that changes only as a table of transitions allows. Any other change is a bug and ends the process:
// it is safer to stop than to continue in a state that the design does not have. One thread at a time.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

namespace postcall {

template <class State>
struct Transition {
  State from;
  State to;
};
template <class State>
Transition(State, State) -> Transition<State>;  // clang 14 does not deduce it by itself

// `kTransitions`: an array of Transition that has static storage.
template <const auto& kTransitions>
class StateMachine {
 public:
  using State = std::remove_const_t<decltype(kTransitions[0].from)>;

  explicit StateMachine(State initial) : state_(initial) {}
  StateMachine(const StateMachine&) = delete;
  StateMachine& operator=(const StateMachine&) = delete;

  static constexpr bool Allows(State from, State to) {
    return std::ranges::any_of(kTransitions,
                               [&](const auto& each) { return each.from == from && each.to == to; });
  }

  State state() const { return state_; }
  bool Is(State state) const { return state_ == state; }

  void Enter(State next) {
    if (!Allows(state_, next)) {
      std::fprintf(stderr, "bug: no transition from state %d to %d in %s\n", static_cast<int>(state_),
                   static_cast<int>(next), __PRETTY_FUNCTION__);
      std::abort();
    }
    state_ = next;
  }

 private:
  State state_;
};

}  // namespace postcall
