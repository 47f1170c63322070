// One claim from the pick to the network: claim -> payload -> POST, as the README describes it in "Life of a
// delivery". Blocks; on the thread that owns the session.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "dispatcher/dispatch/admission.h"
#include "dispatcher/dispatch/claim_end.h"
#include "dispatcher/dispatch/claim_ids.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/dispatch/intake.h"
#include "dispatcher/dispatch/recorder.h"
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
  std::atomic<SteadyTime>& alive_at;  // when the last heartbeat that is committed began
  Admission& admission;
  HeldDeliveries& held;
  Recorder& recorder;
  Sender& sender;
  metrics::Metrics& metrics;
};

// Every function throws postgres::Unavailable or postgres::Refused; nothing is claimed or settled then.
class Claims {
 public:
  // All arguments outlive the object.
  Claims(postgres::Session& session, const ClaimContext& context);

  // Calls `on_picked` once the rows are picked and have their slots, before their calls are read.
  using Picked = std::function<void(const store::OpenClaim&)>;
  ClaimEnd Make(const store::ClaimLimits& limits, const Picked& on_picked = nullptr);

  // Postpones a call that cannot be read even alone, or ends it: ClaimMade or ClaimInDoubt.
  ClaimEnd SetAside(const store::Unreadable& unreadable);

  // Asks once whether the claim is committed. No value: it is settled; a committed claim's deliveries are
  // handed to the network, and a claim that is not committed left its rows in the outbox, so the caller drops
  // its deliveries. A value is one sentence that says why the caller must ask again.
  std::optional<std::string> TrySettle(ClaimInDoubt& claim);
  // To be called when there is no time to ask. Nothing of the claim was sent. If it is committed, its
  // rows are requeued.
  void Abandon(ClaimInDoubt claim);

 private:
  ClaimEnd HandOver(std::variant<store::Claimed, store::InDoubt> result, Deliveries deliveries,
                    ClaimMade made);
  store::Claimer NextClaimer();
  void CountFinished(const store::Claimed& claimed);

  postgres::Session& session_;
  const ClaimContext context_;
  Intake intake_;
};

}  // namespace postcall::dispatch
