// Writes a batch whole, or without the rows that the server refuses. The room's own; on the thread that owns
// the session.
#pragma once

#include <span>
#include <string_view>

#include "dispatcher/store/database.h"

namespace postcall::store {

// Data (22), integrity (23) and size limits (54) are about rows; anything else would refuse every row alike.
inline bool IsAboutRows(const Refused& refused) {
  const std::string_view sqlstate = refused.sqlstate();
  return sqlstate.starts_with("22") || sqlstate.starts_with("23") || sqlstate.starts_with("54");
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
