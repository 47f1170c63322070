// Writes a batch whole, or without the rows that the server refuses. The room's own; on the thread that owns
// the session.
#pragma once

#include <algorithm>
#include <array>
#include <span>

#include "dispatcher/store/database.h"

namespace postcall::store {

// Data (22), integrity (23) and size limits (54) are about rows, as are a subquery with too many of them
// (21), a view's own rule (44), what a view cannot do for some of them (0A), what a function or trigger of
// the platform's or the operator's raises (38, 39, P0), and damage (XX); anything else would refuse every row
// alike.
inline bool IsAboutRows(const Refused& refused) {
  return std::ranges::any_of(std::array{"0A", "21", "22", "23", "38", "39", "44", "54", "P0", "XX"},
                             [&](const char* about) { return refused.sqlstate().starts_with(about); });
}

// Calls `write` with the batch, and when it is refused because of a row with halves of it, down to single
// rows, for which `refuse` is called.
template <class Row, class Write, class Refuse>
void WriteOrHalve(std::span<const Row> batch, const Write& write, const Refuse& refuse) {
  if (batch.empty()) return;
  try {
    write(batch);
    return;
  } catch (const Refused& refused) {
    if (!IsAboutRows(refused)) throw;
    if (batch.size() == 1) {
      refuse(batch.front(), refused);
      return;
    }
  }
  const std::size_t half = batch.size() / 2;
  WriteOrHalve(batch.first(half), write, refuse);
  WriteOrHalve(batch.subspan(half), write, refuse);
}

}  // namespace postcall::store
