// When to claim: polls the outbox for what became ready, with pauses that follow the load (claim_pace.h),
// sends the heartbeat, confirms late deliveries, and settles a claim whose commit is in doubt. One thread
// with a connection of its own; all private functions run on it. While there is more to claim, helpers claim
// beside it.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/mutex.h"
#include "common/progress.h"
#include "common/worker.h"
#include "dispatcher/dispatch/claim_helper.h"
#include "dispatcher/dispatch/claim_pace.h"
#include "dispatcher/dispatch/claim_plan.h"
#include "dispatcher/dispatch/claim_session.h"
#include "dispatcher/dispatch/claims.h"
#include "dispatcher/dispatch/late_deliveries.h"
#include "dispatcher/dispatch/outbox_walk.h"
#include "dispatcher/dispatch/slow_readers.h"
#include "dispatcher/metrics/metrics.h"
#include "dispatcher/postgres/database.h"
#include "dispatcher/store/database_facts.h"

namespace postcall::dispatch {

class ClaimLoop {
 public:
  // `sessions` is the number of database sessions that claim, with its own.
  ClaimLoop(const postgres::DatabaseOptions& database, int sessions, const ClaimContext& context,
            SlowReaders& slow_readers, LateDeliveries& late, Progress& progress);
  ~ClaimLoop();

  void Start();

  // Claims no more, and goes on with everything else until `deadline` at most. Any thread.
  void Drain(SteadyTime deadline);
  // Ends the thread and closes the connection. Idempotent.
  void Stop();

  // None when claims can be made, as far as the database is concerned. Otherwise the reason, one sentence
  // without a password. Any thread.
  std::optional<std::string> Fault() const;
  // Whether there is a connection, also to a database that does not fit. Any thread.
  bool connected() const { return connected_; }

 private:
  void Run();
  ClaimPace::Ended RunOnce();
  void KeepRows();
  ClaimPace::Ended ClaimOnce();
  void WalkOn();
  void LetHelpersClaim(bool may_claim);
  void WakeHelpers();
  void Settle(ClaimInDoubt claim);
  void ConfirmLate();
  void SendHeartbeat();
  bool OutcomesCanBeRecorded();
  void LogConnected() const;
  void SetFault(std::optional<std::string> fault);
  void Fail(metrics::Operation operation, const std::exception& error);

  postgres::Session session_;
  const ClaimContext context_;
  LateDeliveries& late_;
  ClaimPlan plan_;
  ClaimSession claiming_;

  // Only the claim thread uses these.
  store::ReadyFeed feed_;
  OutboxWalk walk_;
  std::vector<store::ReadyRow> seen_;  // not in the plan yet
  bool is_registered_ = false;         // in the database that is connected
  bool fits_ = false;                  // the database was looked at since it was last away
  SteadyTime looked_at_;
  std::optional<store::DatabaseFacts> facts_;  // as they were then
  metrics::Operation doing_ = metrics::Operation::kClaim;
  std::uint64_t recorder_verified_for_ = 0;  // the number of this session's connection
  SteadyTime recorder_fault_since_ = SteadyTime::max();
  bool said_recorder_fault_ = false;

  std::atomic<bool> connected_ = false;

  std::atomic<bool> draining_ = false;
  std::atomic<bool> helpers_may_claim_ = false;

  mutable Mutex mutex_;
  std::optional<std::string> fault_ GUARDED_BY(mutex_) = "not connected to the database yet";
  std::string_view said_ GUARDED_BY(mutex_);  // what is wrong with the database, as logged; a constant

  Worker worker_;
  std::vector<std::unique_ptr<ClaimHelper>> helpers_;  // their threads end first
};

}  // namespace postcall::dispatch
