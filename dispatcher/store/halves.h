// Writes a batch whole, or without the rows that the server refuses. The room's own; on the thread that owns
// the session.
#pragma once

#include <span>

#include "dispatcher/postgres/database.h"
#include "dispatcher/postgres/sqlstate.h"

namespace postcall::store {

// False when every row alike would be refused.
inline bool IsAboutRows(const postgres::Refused& refused) {
  return postgres::IsAboutRows(refused.sqlstate());
}

// Calls `write` with the batch, and when it is refused because of a row with halves of it, down to single
// rows, for which `refuse` is called.
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
