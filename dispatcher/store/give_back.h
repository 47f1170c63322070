// Puts claimed rows of which no byte was sent back into the outbox (CONTRACT §2, "Faults of our own
// machine"). Blocks; on the thread that owns the session.
#pragma once

#include <span>
#include <vector>

#include "dispatcher/store/database.h"
#include "schema/delivery.h"
#include "schema/ids.h"

namespace postcall::store {

struct Returned {
  DeliveryKey key;
  int returns = 0;  // how often it has been given back, this time included
};

// Each keeps its id, call, agent, cause, enqueued_at and due_at. Returns those that were not given back
// because they are no longer in_flight under their claim: given back already, or swept to `unknown`, and then
// never sent again. Safe to repeat. Throws Unavailable or Refused; nothing is given back then.
std::vector<DeliveryId> GiveBack(Session& session, std::span<const Returned> batch);

}  // namespace postcall::store
