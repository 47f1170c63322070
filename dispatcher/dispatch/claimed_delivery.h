// A delivery between its claim and its record: the row's key, what is to be sent, and the slot that it holds.
// Owned by one thread at a time; handed on by unique_ptr.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "dispatcher/dispatch/admission.h"
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
  DeliveryKey key;
  CallId call_id;
  AgentId agent_id;
  Cause cause = Cause::kCompletion;
  DatabaseTime due_at;
  int returns = 0;  // how often this machine has given it back

  std::shared_ptr<const Destination> destination;  // has a target
  std::string body;
  std::vector<Header> signature;  // made when it is first handed to the network; none without a secret
  Admission::Ticket slot;

  ClockAnchor claimed;  // claimed_at by the database, and a steady moment that is not after it
  SteadyTime
      fence;  // the steady moment since which the row is known to be ours: the claim's or a confirmation's
  bool confirmed = false;  // by a confirmation since the claim
};

using ClaimedDeliveryPtr = std::unique_ptr<ClaimedDelivery>;

}  // namespace postcall::dispatch
