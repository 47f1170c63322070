// When to claim: polls the outbox with pauses that follow the load, proves that this dispatcher lives,
// confirms late deliveries, and settles claims whose commit is in doubt. What is claimed and what becomes of
// it is the spine's (dispatcher.h). One thread with a connection of its own; everything below but Wake,
// ConfirmFirst and status runs on it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/pulse.h"
#include "dispatcher/dispatch/claimed_delivery.h"
#include "dispatcher/metrics/metrics.h"
#include "dispatcher/store/claim.h"
#include "dispatcher/store/confirm.h"
#include "dispatcher/store/database.h"

namespace postcall::dispatch {

struct DatabaseStatus {
  bool connected = false;
  std::string reason;  // why not; one sentence without a password
};

class ClaimLoop {
 public:
  // What the spine does with a claim.
  struct Spine {
    store::Judge judge;                                  // decides about each row, within the claim
    std::function<void(const store::Claimed&)> send;     // the claim is committed and ours: send it
    std::function<void(const store::Claimed&)> abandon;  // may be ours, and there is no time to find out
    std::function<void(std::vector<ClaimedDeliveryPtr>)> resume;       // confirmed: send these now
    std::function<void(const std::vector<ClaimedDeliveryPtr>&)> lost;  // no longer ours: these are never sent
    std::function<std::size_t()> unrecorded;                           // outcomes that wait for the log
  };

  ClaimLoop(const store::DatabaseOptions& database, DispatcherId dispatcher, std::string instance,
            Admission& admission, metrics::Metrics& metrics, Pulse& pulse, Spine spine);
  ~ClaimLoop();

  void Start();

  // Claims no more, and goes on with everything else until `deadline` at most. Any thread.
  void Drain(SteadyTime deadline);
  // Ends the thread. Idempotent.
  void Stop();
  // Those that still wait to be confirmed; after Stop, and once nobody calls ConfirmFirst any more.
  std::vector<ClaimedDeliveryPtr> TakeUnconfirmed();
  // Takes the dispatcher off the list of the living ones; after Stop.
  void SignOff();

  // A slot became free. Any thread; cheap.
  void Wake();

  // The fence of this delivery is too old to send by it: asks the database first. Any thread.
  void ConfirmFirst(ClaimedDeliveryPtr delivery);

  DatabaseStatus status() const;

 private:
  static constexpr int kFirstRows = 200;
  // Rows of one claim at most: larger ones are hardly cheaper a row, and hold their locks longer.
  static constexpr int kMaxRows = 500;

  void Run();
  void Turn();
  bool ClaimOnce();
  void Settle(const store::InDoubt& doubt);
  void ConfirmWaiting();
  void BeatIfDue();
  void SetStatus(bool connected, std::string reason);
  void Fail(metrics::Operation operation, const std::exception& error);
  void Pause(Steady::duration length);
  ClaimId NextClaimId();

  store::Session session_;
  const DispatcherId dispatcher_;
  const std::string instance_;
  Admission& admission_;
  metrics::Metrics& metrics_;
  Pulse::Beat& beat_;
  const Spine spine_;

  // The claim thread's own.
  std::uint64_t claims_ = 0;
  AgentId last_agent_;
  int rows_per_agent_ = 1;
  int rows_wanted_ = kFirstRows;
  int rows_readable_ = kMaxRows;  // at once; few after some could not be read
  Steady::duration pause_{};
  bool more_ = false;  // the last claim was cut short by a limit of its own
  bool full_ = false;  // the last claim was cut short by the limits of admission
  SteadyTime beaten_at_;
  bool fits_ = false;  // the database was looked at since it was last away
  SteadyTime looked_at_;
  metrics::Operation doing_ = metrics::Operation::kClaim;

  std::atomic<int> slots_wanted_ = 0;  // so many must become free until the next claim is worth its cost

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false;
  bool draining_ = false;
  bool stopping_ = false;
  std::vector<ClaimedDeliveryPtr> to_confirm_;
  DatabaseStatus status_{false, "not connected to the database yet"};
  std::string_view said_;  // what is wrong with the database, as logged; a constant

  std::thread thread_;
};

}  // namespace postcall::dispatch
