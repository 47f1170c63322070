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

// The transactions that were open or began while "xmin:xmax:open,open,… next" was made.
std::set<std::uint64_t> OpenIn(std::string_view snapshot) {
  const std::size_t space = snapshot.rfind(' ');
  std::string_view next = snapshot.substr(space + 1);
  std::string_view listed = snapshot.substr(0, space);
  TakeNumber(listed);
  const std::uint64_t max = TakeNumber(listed);
  std::set<std::uint64_t> open;
  while (!listed.empty()) open.insert(TakeNumber(listed));
  const std::uint64_t end = TakeNumber(next);
  for (std::uint64_t id = max; id < end; ++id) open.insert(id);
  return open;
}

}  // namespace

void FeedStart::Note(std::string_view snapshot, std::int64_t mark) {
  const std::set<std::uint64_t> open = OpenIn(snapshot);
  if (mark + kSlack < mark_) missed_ = true;
  std::int64_t from = mark;
  for (auto floor = floors_.begin(); floor != floors_.end();) {
    if (open.contains(floor->first)) {
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
  for (const std::uint64_t id : open) floors_.try_emplace(id, mark_ - kSlack);
  for (const auto& [id, floor] : floors_) {
    if (mark - floor <= kYoung) from = std::min(from, floor);
  }
  from_ = from - kSlack;
  mark_ = mark;
}

bool FeedStart::TakeMissed() { return std::exchange(missed_, false); }

}  // namespace postcall::store
