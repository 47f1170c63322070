// A delivery between its claim and its result: the row, what is to be sent, and the slot that it holds. It
// has one owner at a time, who passes it on by unique_ptr. Its destructor releases its slot, and its held row
// unless the recorder has that.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "dispatcher/dispatch/admission.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/store/claim.h"
#include "schema/agent_settings.h"
#include "schema/delivery.h"

namespace postcall::dispatch {

// An agent's settings as parsed, shared by the deliveries that go there.
struct Destination {
  AgentSettings settings;
  std::string endpoint;  // of a Target; empty otherwise

  const Target& target() const { return std::get<Target>(settings); }
};

struct ClaimedDelivery {
  store::PickedRow row;
  DeliveryKey key;  // complete when the claim is committed

  std::shared_ptr<const Destination> destination;  // has a target
  std::string body;
  std::vector<Header> webhook_headers;  // made when it is first handed to the network
  Slot slot;
  HeldRow held;

  ClockAnchor claimed;     // claimed_at by the database, and a steady moment that is not after it
  SteadyTime owned_since;  // when the row was last known to be ours, by its claim or a confirmation
  bool confirmed = false;  // by a confirmation since the claim

  // A send later than this after its claim first confirms that the row is still ours (CONTRACT §4).
  static constexpr Steady::duration kOwnedFor = std::chrono::seconds(10);
  // A delivery that reaches the network later than kFreshFor after its claim, or later than kConfirmedFor
  // after its confirmation, is confirmed first: otherwise too little of kOwnedFor might be left to connect
  // in.
  static constexpr Steady::duration kFreshFor = std::chrono::seconds(1);
  static constexpr Steady::duration kConfirmedFor = kOwnedFor / 2;

  // How often this machine may requeue a delivery before it ends as `not_sent` (CONTRACT §2).
  static constexpr int kMaxRequeues = 20;
  bool MayBeRequeued() const { return row.requeues < kMaxRequeues; }

  // Notes that this claim has made the row ours.
  void Own(const store::Claimed& by) {
    key = {.id = row.id, .claimed_at = by.anchor.at, .claim_id = by.claim_id};
    claimed = by.anchor;
    owned_since = by.owned_since;
  }

  bool MustBeConfirmed(SteadyTime now) const {
    return now - owned_since > (confirmed ? kConfirmedFor : kFreshFor);
  }
  // The first byte leaves before this, or not at all.
  SteadyTime send_before() const { return owned_since + kOwnedFor; }
};

using ClaimedDeliveryPtr = std::unique_ptr<ClaimedDelivery>;
using Deliveries = std::vector<ClaimedDeliveryPtr>;

}  // namespace postcall::dispatch
