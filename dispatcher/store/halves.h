// Writes a batch whole, or without the rows that the server refuses. Used only in this room; on the thread
// that owns the session.
#pragma once

#include <span>

#include "dispatcher/postgres/database.h"
#include "dispatcher/postgres/sqlstate.h"

namespace postcall::store {

// False when the server would refuse every row for the same reason.
inline bool IsAboutRows(const postgres::Refused& refused) {
  return postgres::IsAboutRows(refused.sqlstate());
}

// Calls `write` with the batch. When the server refuses it because of a row, calls `write` with halves of it,
// down to single rows, and calls `refuse` for each single row that is refused.
template <class Row, class Write, class Refuse>
void WriteOrHalve(std::span<const Row> batch, const Write& write, const Refuse& refuse) {
  if (batch.empty()) return;
  try {
    write(batch);
    return;
  } catch (const postgres::Refused& refused) {
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
