#include "dispatcher/cli/nearest_name.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <numeric>
#include <vector>

#include "common/ascii.h"

namespace postcall::cli {
namespace {

constexpr std::size_t kShortestPart = 3;  // a part of a name that is shorter does not match the name

std::string AsOption(std::string_view typed) {
  std::string name = ToLower(typed);
  std::ranges::replace(name, '_', '-');
  return name;
}

// The Levenshtein distance: how many characters must be inserted, removed or replaced.
std::size_t Edits(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (const char letter : from) {
    std::size_t diagonal = row[0]++;
    for (std::size_t i = 1; i < row.size(); ++i) {
      const std::size_t replaced = diagonal + (letter == to[i - 1] ? 0 : 1);
      diagonal = row[i];
      row[i] = std::min({replaced, row[i] + 1, row[i - 1] + 1});
    }
  }
  return row.back();
}

// Makes "deny-egress" of "egress-deny".
std::string WithWordsSorted(std::string_view name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    if (c == '-') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  std::ranges::sort(words);
  std::string sorted;
  for (const std::string& word : words) sorted.append(word).append("-");
  return sorted;
}

// Words in another order count as one edit.
std::size_t Distance(std::string_view typed, std::string_view known) {
  return std::min(Edits(typed, known), 1 + Edits(WithWordsSorted(typed), WithWordsSorted(known)));
}

bool IsNear(std::string_view typed, std::string_view known, std::size_t distance) {
  if (2 * distance <= std::max(typed.size(), known.size())) return true;
  return typed.size() >= kShortestPart &&
         (known.find(typed) != std::string_view::npos || typed.find(known) != std::string_view::npos);
}

}  // namespace

std::optional<std::string> NearestName(std::string_view typed, std::span<const std::string> known) {
  const std::string name = AsOption(typed);
  std::optional<std::string> nearest;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (const std::string& candidate : known) {
    const std::size_t distance = Distance(name, candidate);
    if (distance >= least || !IsNear(name, candidate, distance)) continue;
    nearest = candidate;
    least = distance;
  }
  return nearest;
}

}  // namespace postcall::cli
