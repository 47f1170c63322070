// Makes claims with one database session: takes its turn, picks, and notes how the claim ended. Blocks; on
// the thread that owns the session.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "common/unique_function.h"
#include "dispatcher/dispatch/claim_plan.h"
#include "dispatcher/dispatch/claims.h"
#include "dispatcher/dispatch/slow_readers.h"
#include "dispatcher/postgres/database.h"
#include "dispatcher/store/ready_rows.h"

namespace postcall::dispatch {

class ClaimSession {
 public:
  // All arguments outlive the object. `there_is_more` is called when a claim has picked its rows and there
  // are more that other sessions can claim at the same time.
  ClaimSession(postgres::Session& session, const ClaimContext& context, ClaimPlan& plan,
               SlowReaders& slow_readers, UniqueFunction<void()> there_is_more);

  // Claims once, if it is time for it. `seen` are rows that became ready, and are taken. `settle` must settle
  // a claim whose commit is in doubt. Throws postgres::Unavailable or postgres::Refused; nothing is claimed
  // then.
  using Settle = std::function<void(ClaimInDoubt)>;
  ClaimPace::Ended ClaimOnce(std::vector<store::ReadyRow>& seen, const Settle& settle);

  // See Claims; for `settle`.
  Claims& claims() { return claims_; }

 private:
  ClaimEnd Make(ClaimPlan::Ask& ask, std::optional<ClaimPlan::Turn>& turn);
  ClaimPace::Ended Note(const ClaimPlan::Ask& ask, const ClaimEnd& end);

  const ClaimContext context_;
  ClaimPlan& plan_;
  SlowReaders& slow_readers_;
  UniqueFunction<void()> there_is_more_;
  Claims claims_;
};

}  // namespace postcall::dispatch
