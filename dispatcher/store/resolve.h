// What became of a claim whose commit was left without an answer (CONTRACT §4, "Commits in doubt").
// Blocks; on the thread that owns the session.
#pragma once

#include <unordered_set>

#include "dispatcher/postgres/database.h"
#include "dispatcher/store/claim.h"
#include "schema/ids.h"

namespace postcall::store {

enum class Fate {
  kPending,    // the server process whose connection was cut may still commit: ask again
  kAborted,    // nothing was claimed; the rows are in the outbox
  kOnlyHere,   // the claim was made, but no synchronous standby is known to have it: ask again
  kCommitted,  // the claim was made
};

struct Resolved {
  Fate fate = Fate::kPending;
  SteadyTime owned_since{};                    // takes the place of the claim's own
  std::unordered_set<DeliveryId> in_flight{};  // kCommitted: rows of the claim that are ours to send
};

// Its own write comes after the claim, so a standby that has this write has the claim. The write proves that
// the dispatcher lives, and registers it again when others have declared it dead meanwhile; then the claim's
// rows are `unknown`, and none is in flight. Throws Unavailable or Refused; ask again then.
Resolved ResolveClaim(postgres::Session& session, const InDoubt& doubt);

}  // namespace postcall::store
