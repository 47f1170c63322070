#include "dispatcher/dispatch/claim_pace.h"

#include <algorithm>
#include <utility>

namespace postcall::dispatch {

std::optional<store::ClaimLimits> ClaimPace::Next(const Admission::Room& room, bool network_is_down,
                                                  SteadyTime now) const {
  if (room.slots == 0) return std::nullopt;
  if (network_is_down && now - probed_at_ < kProbeEvery) return std::nullopt;

  store::ClaimLimits limits;
  limits.max_rows = network_is_down ? 1 : std::min({room.slots, kMaxRows, rows_readable_});
  limits.max_bytes = std::min(room.body_bytes, kMaxBytes);
  limits.read_limit = read_limit_;
  return limits;
}

ClaimPace::Ended ClaimPace::Note(const ClaimMade& made, const Asked& asked, SteadyTime now) {
  const int taken = made.taken();
  if (!made.walk.unread.empty()) read_singly_ = 0;
  if (asked.probes && made.to_send > 0) probed_at_ = now;
  if (taken > 0) {
    took_at_ = now;
    was_read_ = true;
    if (made.took < store::kReadAtOnce / 2) read_limit_ = store::kReadAtOnce;
    read_singly_ -= taken;
    if (read_singly_ <= 0)
      rows_readable_ = std::min(kMaxRows, rows_readable_ + std::max(1, rows_readable_ / 4));
  }
  // The agents whose rows stayed in the outbox come first.
  if (taken < made.walk.rows) last_agent_ = made.walk.last_agent;
  const Ended ended = Walked(made.walk.rows, taken, made.walk.more, asked);
  return ended == Ended::kEmpty && !made.walk.unread.empty() ? Ended::kTook : ended;
}

ClaimPace::Ended ClaimPace::Note(const store::Nothing&, const Asked& asked) {
  return Walked(0, 0, false, asked);
}

ClaimPace::Ended ClaimPace::Note(const store::TooMany& too_many) {
  rows_readable_ = too_many.rows_next;
  if (rows_readable_ == 1) read_singly_ = too_many.rows;
  return Ended::kCutShort;
}

ClaimPace::NotRead ClaimPace::Note(const store::Unreadable& unreadable) {
  const bool is_of_its_agent = !unreadable.timed_out || std::exchange(was_read_, false);
  if (!is_of_its_agent) read_limit_ = std::min(2 * read_limit_, kLongestRead);
  read_singly_ = 0;
  if (unreadable.timed_out) last_agent_ = unreadable.row.agent_id;
  return {Ended::kCutShort, is_of_its_agent};
}

ClaimPace::Ended ClaimPace::Walked(int rows, int taken, bool more, const Asked& asked) {
  // The rows per agent are as few as fill the claim, so that other agents do not wait for the backlog of one.
  if (rows >= asked.max_rows) {
    rows_per_agent_ = std::max(1, rows_per_agent_ / 2);
  } else if (more) {
    rows_per_agent_ = std::min(kMaxRows, rows_per_agent_ * 2);
  }
  if (taken < rows && (taken == 0 || asked.little_memory)) return Ended::kFull;
  // Most rows without a slot are of agents whose endpoint was not known. Now it is: the next claim steps over
  // them.
  if (more || asked.left_out || taken < rows) return Ended::kCutShort;
  if (taken > 0) return Ended::kTook;
  return asked.some_wait ? Ended::kFull : Ended::kEmpty;
}

Steady::duration ClaimPace::PauseAfter(Ended ended, SteadyTime now) const {
  if (ended == Ended::kCutShort) return Steady::duration(0);
  const auto pause =
      std::clamp<Steady::duration>((now - took_at_) / kPartOfTime, kShortestPause, kLongestPause);
  return ended == Ended::kFull ? std::min<Steady::duration>(pause, kPauseWhileFull) : pause;
}

}  // namespace postcall::dispatch
