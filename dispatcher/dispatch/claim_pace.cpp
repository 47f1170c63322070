#include "dispatcher/dispatch/claim_pace.h"

#include <algorithm>
#include <utility>

namespace postcall::dispatch {

std::optional<store::ClaimLimits> ClaimPace::Next(const Admission::Room& room, bool network_is_down,
                                                  SteadyTime now) {
  freed_ = room.freed;
  ended_ = room.slots == 0 ? Ended::kFull : Ended::kEmpty;
  if (room.slots == 0) return std::nullopt;
  probes_ = network_is_down;
  if (probes_ && now - probed_at_ < kProbeEvery) return std::nullopt;

  store::ClaimLimits limits;
  limits.max_rows = probes_ ? 1 : std::min({room.slots, rows_wanted_, rows_readable_});
  limits.max_bytes = std::min(room.body_bytes, kMaxBytes);
  limits.read_limit = read_limit_;
  max_rows_ = limits.max_rows;
  some_are_limited_ = !room.exceptions.empty();
  return limits;
}

void ClaimPace::Skip() { ended_ = Ended::kEmpty; }

void ClaimPace::Note(const ClaimMade& made, SteadyTime now) {
  const int taken = made.taken();
  if (!made.walk.unread.empty()) read_singly_ = 0;
  if (probes_ && made.to_send > 0) probed_at_ = now;
  if (taken > 0) {
    was_read_ = true;
    if (made.took < store::kReadAtOnce / 2) read_limit_ = store::kReadAtOnce;
    read_singly_ -= taken;
    if (read_singly_ <= 0)
      rows_readable_ = std::min(kMaxRows, rows_readable_ + std::max(1, rows_readable_ / 4));
  }
  last_agent_ = made.walk.last_agent;
  ended_ = Walked(made.walk.rows, taken, made.walk.more, made.new_agents);
  if (ended_ == Ended::kEmpty && !made.walk.unread.empty()) ended_ = Ended::kTook;
}

void ClaimPace::Note(const ClaimInDoubt&) { ended_ = Ended::kTook; }

void ClaimPace::Note(const store::Nothing&) { ended_ = Walked(0, 0, false, 0); }

void ClaimPace::Note(const store::TooMany& too_many) {
  rows_readable_ = too_many.rows_next;
  if (rows_readable_ == 1) read_singly_ = too_many.rows;
  ended_ = Ended::kCutShort;
}

bool ClaimPace::Note(const store::Unreadable& unreadable) {
  const bool is_of_its_agent = !unreadable.timed_out || std::exchange(was_read_, false);
  if (!is_of_its_agent) read_limit_ = std::min(2 * read_limit_, kLongestRead);
  read_singly_ = 0;
  if (unreadable.timed_out) last_agent_ = unreadable.row.agent_id;
  ended_ = Ended::kCutShort;
  return is_of_its_agent;
}

ClaimPace::Ended ClaimPace::Walked(int rows, int taken, bool more, std::size_t new_agents) {
  // The rows per agent are as few as fill the claim, so that other agents do not wait for the backlog of one.
  if (rows >= max_rows_) {
    rows_per_agent_ = std::max(1, rows_per_agent_ / 2);
  } else if (more) {
    rows_per_agent_ = std::min(kMaxRows, rows_per_agent_ * 2);
  }
  // The rows per claim follow the rows that found a slot. When many agents share a full endpoint, most rows
  // find none; as long as these agents are new to admission, the next claim follows at once with more rows
  // and steps over them.
  if (2 * taken < rows && 2 * new_agents > static_cast<std::size_t>(rows)) {
    rows_wanted_ = std::min(kMaxRows, 2 * rows_wanted_);
    return Ended::kCutShort;
  }
  rows_wanted_ =
      taken < rows ? std::max(kFewRows, taken) : std::min(kMaxRows, rows_wanted_ + rows_wanted_ / 4);
  if (taken < rows || (taken == 0 && some_are_limited_)) return Ended::kFull;
  if (more) return Ended::kCutShort;
  return taken > 0 ? Ended::kTook : Ended::kEmpty;
}

// When no slot is free for the due rows, the next claim waits until half of the slots are free, because a
// claim of one row costs as much as a claim of fifty. Otherwise the next claim follows at once while there is
// more, and after a longer pause each time that there is nothing.
Steady::duration ClaimPace::NextPause() {
  switch (ended_) {
    case Ended::kFull:
      return pause_ = kPauseWhileFull;
    case Ended::kCutShort:
      return pause_ = Steady::duration(0);
    case Ended::kTook:
      return pause_ = kShortestPause;
    case Ended::kEmpty:
      break;
  }
  return pause_ = std::clamp<Steady::duration>(2 * pause_, kShortestPause, kLongestPause);
}

Steady::duration ClaimPace::PauseAfterError() { return pause_ = kPauseAfterError; }

// Slots that became free while the claim was made count, too.
std::optional<std::int64_t> ClaimPace::WakeAt(int in_flight) const {
  if (ended_ != Ended::kFull) return std::nullopt;
  return freed_ + std::max(1, in_flight / 2);
}

}  // namespace postcall::dispatch
