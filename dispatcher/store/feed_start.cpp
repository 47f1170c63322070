#include "dispatcher/store/feed_start.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

namespace postcall::store {
namespace {

// The transactions that are open in the snapshot "xmin:xmax:id,id,…".
std::set<std::uint64_t> OpenIn(std::string_view snapshot) {
  std::set<std::uint64_t> open;
  const std::size_t colon = snapshot.rfind(':');
  const char* at = snapshot.data() + (colon == std::string_view::npos ? snapshot.size() : colon + 1);
  const char* const end = snapshot.data() + snapshot.size();
  while (at < end) {
    std::uint64_t id = 0;
    const auto [rest, error] = std::from_chars(at, end, id);
    if (error != std::errc()) break;
    open.insert(id);
    at = rest + 1;
  }
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
