// How one claim ended: what it means for its deliveries, and for when and how much to claim next. Value
// types.
#pragma once

#include <variant>

#include "common/clock.h"
#include "dispatcher/dispatch/claimed_delivery.h"
#include "dispatcher/store/claim.h"

namespace postcall::dispatch {

// The claim is committed, and its deliveries are handed to the network.
struct ClaimMade {
  store::Walk walk;
  int to_send = 0;
  int finished = 0;  // calls with nothing to send
  Steady::duration took{};

  int taken() const { return to_send + finished; }
};

// It is not known whether the claim is committed. The deliveries wait here for the answer.
struct ClaimInDoubt {
  store::InDoubt doubt;
  Deliveries deliveries;  // to be sent if it is committed
};

using ClaimEnd = std::variant<ClaimMade, ClaimInDoubt, store::Nothing, store::TooMany, store::Unreadable>;

}  // namespace postcall::dispatch
