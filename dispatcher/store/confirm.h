// Asks whether claimed rows are still ours before a send that is later than 10 s after the claim (CONTRACT
// §4). Blocks; on the thread that owns the session.
#pragma once

#include <span>
#include <unordered_set>

#include "common/clock.h"
#include "dispatcher/postgres/database.h"
#include "schema/delivery.h"
#include "schema/ids.h"

namespace postcall::store {

struct Confirmed {
  SteadyTime owned_since;                     // from here on these may be sent for 10 s
  std::unordered_set<DeliveryId> still_ours;  // those of `keys` that are in_flight under their claim
};

// Moves the dispatcher's heartbeat in the same transaction, so that no other dispatcher can declare it dead,
// and its rows unknown, until 30 s later. The others of `keys` must never be sent. Throws Unavailable or
// Refused; nothing is confirmed then.
Confirmed Confirm(postgres::Session& session, const DispatcherId& dispatcher,
                  std::span<const DeliveryKey> keys);

}  // namespace postcall::store
