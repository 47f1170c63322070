// From which moment on to look for rows whose wait for an analysis is over, so that a look does not step over
// the rows that earlier looks found: their dead entries stay in the index while a snapshot is open elsewhere.
// It uses no clock and no database. One thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include "common/clock.h"

namespace postcall::store {

class RipeStart {
 public:
  // How often to look from the beginning, which finds rows of transactions that committed late, and rows that
  // were changed by hand. It should take no more than one part in kRest of the time.
  static constexpr Steady::duration kEvery = std::chrono::seconds(1);
  static constexpr int kRest = 50;
  static constexpr Steady::duration kRarest = std::chrono::seconds(30);
  // Usually the order in which rows are committed is that of their moments within this time.
  static constexpr std::chrono::microseconds kSlack = std::chrono::seconds(1);

  // Where a look must start that begins now.
  DatabaseTime From(SteadyTime now) const { return now >= next_whole_ ? DatabaseTime() : from_; }

  // A look that started there took from `begin` to `end`. `first` is the moment of the first row that it
  // found; no value: there is none that was due at `moment`.
  void Note(std::optional<DatabaseTime> first, DatabaseTime moment, SteadyTime begin, SteadyTime end) {
    if (begin >= next_whole_)
      next_whole_ = end + std::clamp<Steady::duration>(kRest * (end - begin), kEvery, kRarest);
    from_ = first.value_or(moment - kSlack);
  }

 private:
  DatabaseTime from_;
  SteadyTime next_whole_;
};

}  // namespace postcall::store
