// Decides what becomes of each row of a claim: finds a slot for it, makes its body, or says why there is
// nothing to send. Each claim thread has an intake of its own.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "dispatcher/dispatch/admission.h"
#include "dispatcher/dispatch/claimed_delivery.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/store/claim.h"

namespace postcall::dispatch {

class Intake {
 public:
  // Both outlive the intake.
  Intake(Admission& admission, HeldDeliveries& held) : admission_(admission), held_(held) {}

  // Returns a delivery with a slot for each row that may be sent, in the claim's order. Finishes rows with
  // nothing to send. The other rows find no slot, and stay in the outbox.
  Deliveries Admit(store::OpenClaim& claim);

  // Gives each delivery whose call was read its body, and holds its row. The others drop out with their
  // slots: they were not read, there is no room for their body, or their call was removed, which finishes
  // the row.
  void AddBodies(store::OpenClaim& claim, Deliveries& admitted, store::OpenClaim::Calls calls);

 private:
  std::shared_ptr<const Destination> DestinationOf(const AgentId& agent,
                                                   const store::SettingsAsRead& settings);
  void Remember(const AgentId& agent, std::string_view text, std::shared_ptr<const Destination> destination);

  Admission& admission_;
  HeldDeliveries& held_;

  // What agents' settings were parsed into, while their text stays the same.
  struct Parsed {
    std::string text;
    std::shared_ptr<const Destination> destination;
  };
  std::unordered_map<AgentId, Parsed> destinations_;
  std::size_t remembered_bytes_ = 0;  // of their texts
};

}  // namespace postcall::dispatch
