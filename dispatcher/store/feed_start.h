// Where the next read of the feed must start, so that it sees the rows of transactions that commit late. Ids
// grow with the time at which they are drawn, and a transaction draws its number before the ids of its rows.
// So a transaction whose number is above that of one read draws ids above the mark of that read. This is its
// floor: once it is over, the feed must read from there. It uses no clock and no database. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

namespace postcall::store {

class FeedStart {
 public:
  // An id in the unit of the outbox: microseconds times 4096.
  static constexpr std::int64_t kSecond = std::int64_t{1'000'000} * 4096;
  // Rows of transactions that are open for less than this are read again each time: it costs a few rows, and
  // a row is then seen as soon as it is committed.
  static constexpr std::int64_t kYoung = kSecond;
  // A transaction that was open for longer, but not longer than this, is read once when it is over.
  static constexpr std::int64_t kOld = 10 * kSecond;
  // More transactions that are newer than the snapshot's last one are not told apart, and a walk finds their
  // rows. There are as many only when one transaction has very many subtransactions.
  static constexpr std::int32_t kMostNewer = 1000;
  // Clocks of server processes differ by less than this.
  static constexpr std::int64_t kSlack = kSecond / 20;

  // Every row that is committed and has a greater id is to be read.
  std::int64_t from() const { return from_; }

  // The feed was read from from() on. `snapshot` is that of the read or an earlier one: the text of a
  // pg_snapshot. It does not list the transactions that are newer than every one that is over; `next` bounds
  // these: it is the number, without its epoch, that the next transaction would have drawn at a moment after
  // the snapshot. `mark` is the id of a moment before the snapshot was taken.
  void Note(std::string_view snapshot, std::uint32_t next, std::int64_t mark);

  // True once after rows may have been missed: at the start, after a transaction that was open for long, and
  // after the clock was set back.
  bool TakeMissed();

 private:
  std::int64_t from_ = INT64_MAX;  // nothing: a walk finds what is there at the start
  std::int64_t mark_ = 0;
  bool missed_ = true;
  std::map<std::uint64_t, std::int64_t> floors_;  // of transactions that were open in the last snapshot
};

}  // namespace postcall::store
