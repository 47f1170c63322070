#include "dispatcher/dispatch/agent_walk.h"

#include <algorithm>

namespace postcall::dispatch {

bool AgentWalk::IsDue(SteadyTime now) {
  if (!walking_ && now >= (requested_ ? rest_until_ : next_walk_)) {
    walking_ = true;
    requested_ = false;
    after_ = AgentId();
    took_ = {};
  }
  return walking_ && now >= next_step_;
}

void AgentWalk::Note(const AgentId& last, bool at_end, Steady::duration took, SteadyTime now) {
  agents_ = took < kStep / 2 ? std::min(kMostAgents, agents_ * 2)
            : took > kStep   ? std::max(kFewAgents, agents_ / 2)
                             : agents_;
  took_ += took;
  after_ = last;
  // Nothing is known before the first walk, so its steps follow each other at once.
  next_step_ = is_first_ ? now : now + took * kRest / 4;
  if (!at_end) return;
  walking_ = is_first_ = false;
  rest_until_ = now + took_ * kRest;
  next_walk_ = std::max(rest_until_, now + kEvery);
}

}  // namespace postcall::dispatch
