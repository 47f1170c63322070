// Completes rows of the delivery log, fenced by the claim that each belongs to (CONTRACT §4).
// Blocks; on the thread that owns the session.
#pragma once

#include <span>
#include <unordered_set>
#include <vector>

#include "common/clock.h"
#include "dispatcher/store/database.h"
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
  std::unordered_set<DeliveryId> held;    // another holds the row, or it is damaged: to be recorded later
};

// Safe to repeat: what is recorded already is left alone and told as `lost`. Bytes that PostgreSQL cannot
// hold are replaced first; when it refuses the batch all the same, halves are tried, so that one outcome
// never holds up the others; nor does a row that somebody holds. At most a few hundred rows at once are
// cheap. Throws Unavailable, or Refused when that is not about the data; some of the batch may be recorded
// then.
Recorded Record(Session& session, std::span<const Finished> batch);

}  // namespace postcall::store
