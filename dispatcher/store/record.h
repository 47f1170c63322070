// Completes rows of the delivery log, each only under the claim that it belongs to (CONTRACT §4).
// Blocks; on the thread that owns the session.
#pragma once

#include <span>
#include <unordered_set>
#include <vector>

#include "common/clock.h"
#include "dispatcher/postgres/database.h"
#include "schema/delivery.h"
#include "schema/ids.h"
#include "schema/outcome.h"

namespace postcall::store {

struct Finished {
  DeliveryKey key;
  Cause cause = Cause::kCompletion;
  DatabaseTime finished_at;
  DeliveryResult result;  // outcome final and not kUnknown; `reached` known
};

struct Recorded {
  int unknown_resolved = 0;      // late outcomes that replaced `unknown`
  std::vector<DeliveryId> lost;  // no row of that key is in_flight or unknown: recorded already, or dropped
  std::vector<DeliveryId> text_replaced;  // the server refused the text; the outcome is stored without it
  std::vector<DeliveryId> refused;        // the server refused even the bare outcome; the row stays in_flight
  // Another transaction has locked the row, or the row is damaged: record them later.
  std::unordered_set<DeliveryId> locked;
};

// Safe to repeat: a row that is recorded already is not changed, and is among `lost`. Bytes that PostgreSQL
// cannot store are replaced first.
//
// No outcome waits for another: if the server refuses the batch, halves of it are tried, and rows that
// another transaction has locked are left out. Up to a few hundred rows at once are cheap. Throws
// Unavailable, or Refused when that is not about the data; some of the batch may be recorded then.
Recorded Record(postgres::Session& session, std::span<const Finished> batch);

}  // namespace postcall::store
