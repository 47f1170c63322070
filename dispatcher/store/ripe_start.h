// From which moment on to look for rows whose wait for an analysis is over. Rows that have become ready stay
// in the index as dead entries while a snapshot is open elsewhere, so usually a look starts at the end of the
// last one that found nothing. A look from the beginning finds what came in between: rows of transactions
// that committed late, and rows that were changed by hand. It uses no clock and no database. One thread.
#pragma once

#include <algorithm>
#include <chrono>

#include "common/clock.h"

namespace postcall::store {

class RipeStart {
 public:
  // How often to look from the beginning; more rarely when that would take more than one part in kRest.
  static constexpr Steady::duration kEvery = std::chrono::seconds(1);
  static constexpr int kRest = 50;
  // Moments of different transactions are known to come in order only when they are further apart than this.
  static constexpr std::chrono::microseconds kSlack = std::chrono::seconds(1);

  // Where a look must start that begins now.
  DatabaseTime From(SteadyTime now) const { return now >= next_whole_ ? DatabaseTime() : from_; }

  // A look that started there took from `begin` to `end`, and saw what was due at `moment`.
  void Note(bool found, DatabaseTime moment, SteadyTime begin, SteadyTime end) {
    if (found) return;  // there may be more
    if (begin >= next_whole_) next_whole_ = end + std::max<Steady::duration>(kEvery, kRest * (end - begin));
    from_ = moment - kSlack;
  }

 private:
  DatabaseTime from_;
  SteadyTime next_whole_;
};

}  // namespace postcall::store
