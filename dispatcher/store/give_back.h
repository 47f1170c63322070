// Puts claimed rows of which no byte was sent back into the outbox (CONTRACT §2, "Faults of our own
// machine"). Blocks; on the thread that owns the session.
#pragma once

#include <span>
#include <unordered_set>
#include <vector>

#include "dispatcher/store/database.h"
#include "schema/delivery.h"
#include "schema/ids.h"
#include "schema/outcome.h"

namespace postcall::store {

struct Returned {
  DeliveryKey key;
  int returns = 0;  // how often it has been given back, this time included
  Cause cause = Cause::kCompletion;
};

struct GivenBack {
  // No longer in_flight under their claim, or refused by the outbox: given back already, or swept to
  // `unknown`, and then never sent again.
  std::vector<DeliveryId> not_back;
  std::unordered_set<DeliveryId> held;  // another transaction holds the row: to be given back later
};

// Each keeps its id, call, agent, cause, enqueued_at and due_at. Safe to repeat. Throws Unavailable or
// Refused; some of the batch may be given back then.
GivenBack GiveBack(Session& session, std::span<const Returned> batch);

}  // namespace postcall::store
