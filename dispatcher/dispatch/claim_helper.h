// One more session that claims, on a thread of its own, while there is more than the claim loop claims alone:
// while one claim waits for its commit, another picks. It does nothing until it is woken, and connects when
// it first has something to do.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "common/clock.h"
#include "common/progress.h"
#include "common/unique_function.h"
#include "common/worker.h"
#include "dispatcher/dispatch/claim_plan.h"
#include "dispatcher/dispatch/claim_session.h"
#include "dispatcher/dispatch/slow_readers.h"
#include "dispatcher/postgres/database.h"

namespace postcall::dispatch {

class ClaimHelper {
 public:
  // `may_claim`: as far as the claim loop knows, the database fits, outcomes can be recorded and the network
  // is up. Called on this helper's thread.
  ClaimHelper(const postgres::DatabaseOptions& database, const ClaimContext& context, ClaimPlan& plan,
              SlowReaders& slow_readers, UniqueFunction<void()> there_is_more,
              std::function<bool()> may_claim, Progress& progress);
  ~ClaimHelper();

  void Start();
  // There may be something to claim. Any thread.
  void Wake() { worker_.Wake(); }
  // Claims no more; a claim that is under way ends by `deadline`. Any thread.
  void Drain(SteadyTime deadline);
  // Ends the thread and closes the connection. Idempotent.
  void Stop();

 private:
  void Run();
  Steady::duration RunOnce();
  void Settle(ClaimInDoubt claim);
  void Log(const char* what, const std::string& why);

  postgres::Session session_;
  const ClaimContext context_;
  ClaimPlan& plan_;
  const std::function<bool()> may_claim_;
  ClaimSession claiming_;
  SteadyTime claimed_at_;
  SteadyTime retry_at_;
  std::string said_;  // the last failure's reason, as logged
  std::atomic<bool> draining_ = false;

  Worker worker_;
};

}  // namespace postcall::dispatch
