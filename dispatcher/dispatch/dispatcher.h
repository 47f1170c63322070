// The spine: claim -> payload -> POST -> record. Owns the threads of the service and the order in which they
// start and stop. See "Life of a delivery" in the README.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/mutex.h"
#include "common/progress.h"
#include "dispatcher/dispatch/claim_ids.h"
#include "dispatcher/dispatch/claim_loop.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/dispatch/housekeeper.h"
#include "dispatcher/dispatch/late_deliveries.h"
#include "dispatcher/dispatch/recorder.h"
#include "dispatcher/dispatch/sender.h"
#include "dispatcher/dispatch/slow_lane.h"
#include "dispatcher/dispatch/slow_readers.h"
#include "dispatcher/egress/policy.h"
#include "dispatcher/metrics/metrics.h"

namespace postcall::dispatch {

struct DispatcherOptions {
  postgres::DatabaseOptions database;
  std::string instance;  // label
  AdmissionLimits limits;
  int network_threads = 1;
  int claim_sessions = 2;
  http::EngineOptions http;
  egress::Policy egress;
  http::SourceAddresses sources;
  int retention_days = 30;
  int ledger_days = 400;
};

class Dispatcher {
 public:
  // `metrics` outlives the dispatcher. Throws std::runtime_error as http::Engine does.
  Dispatcher(DispatcherOptions options, metrics::Metrics& metrics);
  // Call Stop first, or outcomes are lost with the process.
  ~Dispatcher();

  void Start();

  // Claims no more, waits until all that is in flight is over and recorded, and ends the threads. Takes
  // kStopWithin at most. Idempotent.
  static constexpr Steady::duration kStopWithin = std::chrono::milliseconds(10'750);
  // The part of kStopWithin in which the deliveries end. One may last longer than its time-out by kOverrun
  // (CONTRACT §2).
  static constexpr Steady::duration kDrainWithin = std::chrono::milliseconds(10'350);
  static constexpr Steady::duration kOverrun = std::chrono::milliseconds(250);
  struct Stopped {
    std::vector<store::Finished> unrecorded;  // outcomes that the database did not accept in time
    int cut_off = 0;                          // deliveries that were not over in time
  };
  Stopped Stop();

  // Sets the gauges that show this dispatcher's own numbers; to be called at each scrape. Any thread.
  void SampleGauges();

  // No value while claims can be made, outcomes can be recorded, the network is up and the dispatcher is not
  // stopping. Otherwise the reason (CONTRACT §8).
  std::optional<std::string> WhyNotReady() const;
  // Threads without progress since `then`.
  std::vector<std::string> StuckSince(SteadyTime then) const { return progress_.StuckSince(then); }

 private:
  const DispatcherOptions options_;
  metrics::Metrics& metrics_;
  Progress progress_;
  const DispatcherId id_;
  Admission admission_;
  HeldDeliveries held_;
  LateDeliveries late_;

  ClaimIds claim_ids_{id_};
  std::atomic<SteadyTime> alive_at_{};
  SlowReaders slow_readers_;

  // Each uses those above it, and its thread ends before theirs.
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Sender> sender_;
  std::unique_ptr<ClaimLoop> claim_loop_;
  std::unique_ptr<SlowLane> slow_lane_;
  std::unique_ptr<Housekeeper> housekeeper_;

  mutable Mutex stop_mutex_;
  bool stopping_ GUARDED_BY(stop_mutex_) = false;
};

}  // namespace postcall::dispatch
