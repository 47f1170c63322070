// When to walk over the whole outbox, and how far at once: at the start, when the feed may have missed rows,
// and rarely besides, so that nothing depends on the feed alone. Its later walks take a few per cent of the
// time. It uses no database. One thread, the claim thread.
#pragma once

#include <cstdint>

#include "common/clock.h"

namespace postcall::dispatch {

class OutboxWalk {
 public:
  static constexpr Steady::duration kEvery = std::chrono::seconds(1);
  // A walk is followed by a rest that is this many times as long.
  static constexpr int kRest = 50;
  // A step takes about this long, so that claims do not wait for it.
  static constexpr Steady::duration kStep = std::chrono::milliseconds(10);
  static constexpr int kMostPages = 2048;  // of a step
  static constexpr int kFewPages = 64;

  // The feed may have missed rows: a walk begins at once, or as soon as the time that walks may take allows.
  void Request() { requested_ = true; }

  // Whether a step is due.
  bool IsDue(SteadyTime now);
  std::int64_t first_page() const { return first_page_; }
  int pages() const { return pages_; }
  // A step over pages() was made.
  void Note(bool at_end, Steady::duration took, SteadyTime now);

 private:
  bool requested_ = true;
  bool walking_ = false;
  bool is_first_ = true;
  std::int64_t first_page_ = 0;
  int pages_ = kFewPages;
  Steady::duration took_{};  // by the steps of this walk so far
  SteadyTime next_step_;
  SteadyTime rest_until_;
  SteadyTime next_walk_;
};

}  // namespace postcall::dispatch
