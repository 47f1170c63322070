// Moves claimed rows of which no byte was sent back to the outbox (CONTRACT §2, "Faults of our own
// machine"). Blocks; on the thread that owns the session.
#pragma once

#include <span>
#include <unordered_set>
#include <vector>

#include "dispatcher/postgres/database.h"
#include "schema/delivery.h"
#include "schema/ids.h"
#include "schema/outcome.h"

namespace postcall::store {

struct ToRequeue {
  DeliveryKey key;
  int requeues = 0;  // how often it was requeued, this time included
  Cause cause = Cause::kCompletion;
  DatabaseTime over_at{};  // when it was found that nothing can be sent now
};

struct Requeued {
  // No longer in_flight under their claim, because they were requeued before or became `unknown`; or the
  // outbox refused them. A row that became `unknown` is never sent again.
  std::vector<DeliveryId> not_requeued;
  std::unordered_set<DeliveryId> locked;  // by another transaction: requeue them later
};

// Each keeps its id, call, agent, cause, enqueued_at and due_at. Safe to repeat. Throws Unavailable or
// Refused; some of the batch may be requeued then.
Requeued Requeue(postgres::Session& session, std::span<const ToRequeue> batch);

}  // namespace postcall::store
