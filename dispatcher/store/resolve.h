// What became of a claim whose commit was left without an answer (CONTRACT §4, "Commits in doubt").
// Blocks; on the thread that owns the session.
#pragma once

#include <vector>

#include "dispatcher/store/claim.h"
#include "dispatcher/store/database.h"
#include "schema/ids.h"

namespace postcall::store {

enum class Fate {
  kPending,    // the cut server process may still commit: ask again
  kAborted,    // nothing was claimed; the rows are in the outbox
  kCommitted,  // the claim was made
};

struct Resolved {
  Fate fate = Fate::kPending;
  SteadyTime fence{};                   // takes the place of the claim's fence for the rows below
  std::vector<DeliveryId> in_flight{};  // kCommitted: the rows that are ours to send, in the claim's order
};

// Also proves that this dispatcher lives, and registers it anew when others took it for gone meanwhile; the
// claim's rows are `unknown` then, and none is in flight. Throws Unavailable or Refused; ask again then.
Resolved ResolveClaim(Session& session, const DispatcherId& dispatcher, const std::string& instance,
                      const InDoubt& doubt);

}  // namespace postcall::store
