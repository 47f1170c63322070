// One claim from the pick to the network: claim -> payload -> POST, as the README's "Life of a delivery"
// tells it. Blocks; on the thread that owns the session.
#pragma once

#include <optional>
#include <string>

#include "dispatcher/dispatch/admission.h"
#include "dispatcher/dispatch/claim_end.h"
#include "dispatcher/dispatch/claim_ids.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/dispatch/intake.h"
#include "dispatcher/dispatch/sender.h"
#include "dispatcher/metrics/metrics.h"
#include "dispatcher/postgres/database.h"
#include "dispatcher/store/claim.h"

namespace postcall::dispatch {

// What all claims of one dispatcher share.
struct ClaimContext {
  DispatcherId dispatcher;
  std::string instance;
  ClaimIds& claim_ids;
  Admission& admission;
  HeldDeliveries& held;
  Sender& sender;
  metrics::Metrics& metrics;
};

// Every function throws postgres::Unavailable or postgres::Refused; nothing is claimed or settled then.
class Claims {
 public:
  // All outlive the object.
  Claims(postgres::Session& session, const ClaimContext& context);

  ClaimEnd Make(const store::ClaimLimits& limits);

  // Postpones a call that cannot be read even alone, or ends it: ClaimMade or ClaimInDoubt.
  ClaimEnd SetAside(const store::Unreadable& unreadable);

  // Asks once what became of the claim. None: it is settled. If it is committed, its deliveries are on their
  // way; otherwise they are in the outbox as before, and the caller drops them. Otherwise the reason why the
  // caller must ask again, one sentence.
  std::optional<std::string> TrySettle(ClaimInDoubt& claim);
  // There is no time to ask. Nothing of the claim was sent, and nothing will be sent.
  void Abandon(ClaimInDoubt claim);

 private:
  ClaimEnd HandOver(std::variant<store::Claimed, store::InDoubt> result, Deliveries deliveries,
                    ClaimMade made);
  void CountFinished(const store::Claimed& claimed);

  postgres::Session& session_;
  const ClaimContext context_;
  Intake intake_;
};

}  // namespace postcall::dispatch
