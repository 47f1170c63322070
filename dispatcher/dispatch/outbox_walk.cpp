#include "dispatcher/dispatch/outbox_walk.h"

#include <algorithm>

namespace postcall::dispatch {

bool OutboxWalk::IsDue(SteadyTime now) {
  if (!walking_ && now >= (requested_ ? rest_until_ : next_walk_)) {
    walking_ = true;
    requested_ = false;
    first_page_ = 0;
    took_ = {};
  }
  return walking_ && now >= next_step_;
}

void OutboxWalk::Note(bool at_end, Steady::duration took, SteadyTime now) {
  first_page_ += pages_;
  if (took > kStep) {
    pages_ = std::max(kFewPages, pages_ / 2);
  } else if (took < kStep / 2) {
    pages_ = std::min(kMostPages, pages_ * 2);
  }
  took_ += took;
  // Nothing is known before the first walk, so its steps follow each other at once.
  next_step_ = is_first_ ? now : now + took * kRest / 4;
  if (!at_end) return;
  walking_ = is_first_ = false;
  rest_until_ = now + took_ * kRest;
  next_walk_ = std::max(rest_until_, now + kEvery);
}

}  // namespace postcall::dispatch
