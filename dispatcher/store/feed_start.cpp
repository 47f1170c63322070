#include "dispatcher/store/feed_start.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

namespace postcall::store {
namespace {

// Takes the number at the beginning of `text`, and the character behind it.
std::uint64_t TakeNumber(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(rest - text.data()) + 1));
  return number;
}

struct OpenTransactions {
  std::set<std::uint64_t> numbers;
  bool are_all = true;
};

// The transactions that were open in "xmin:xmax:open,open,…", and those that began before `next`.
OpenTransactions OpenIn(std::string_view snapshot, std::uint32_t next) {
  TakeNumber(snapshot);
  const std::uint64_t max = TakeNumber(snapshot);
  OpenTransactions open;
  while (!snapshot.empty()) open.numbers.insert(TakeNumber(snapshot));
  const auto newer = static_cast<std::int32_t>(next - static_cast<std::uint32_t>(max));
  open.are_all = newer <= FeedStart::kMostNewer;
  for (std::int32_t i = 0; i < std::min(newer, FeedStart::kMostNewer); ++i)
    open.numbers.insert(max + static_cast<std::uint64_t>(i));
  return open;
}

}  // namespace

void FeedStart::Note(std::string_view snapshot, std::uint32_t next, std::int64_t mark) {
  const OpenTransactions open = OpenIn(snapshot, next);
  if (!open.are_all || mark + kSlack < mark_) missed_ = true;
  std::int64_t from = mark;
  for (auto floor = floors_.begin(); floor != floors_.end();) {
    if (open.numbers.contains(floor->first)) {
      ++floor;
      continue;
    }
    if (mark - floor->second > kOld) {
      missed_ = true;
    } else if (floor->second < from_) {
      from = std::min(from, floor->second);
    }
    floor = floors_.erase(floor);
  }
  for (const std::uint64_t number : open.numbers) floors_.try_emplace(number, mark_ - kSlack);
  for (const auto& [id, floor] : floors_) {
    if (mark - floor <= kYoung) from = std::min(from, floor);
  }
  from_ = from - kSlack;
  mark_ = mark;
}

bool FeedStart::TakeMissed() { return std::exchange(missed_, false); }

}  // namespace postcall::store
