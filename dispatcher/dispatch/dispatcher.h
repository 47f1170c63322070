// The spine: claim -> payload -> POST -> record. Owns the threads of the service and the order in which they
// start and stop. See "Life of a delivery" in the README.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/pulse.h"
#include "dispatcher/dispatch/claim_loop.h"
#include "dispatcher/dispatch/claimed_delivery.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/dispatch/housekeeper.h"
#include "dispatcher/dispatch/intake.h"
#include "dispatcher/dispatch/network.h"
#include "dispatcher/dispatch/recorder.h"
#include "dispatcher/egress/policy.h"
#include "dispatcher/metrics/metrics.h"

namespace postcall::dispatch {

struct DispatcherOptions {
  store::DatabaseOptions database;
  std::string instance;  // label
  AdmissionLimits limits;
  int network_threads = 1;
  http::EngineOptions http;
  egress::Policy egress;
  int retention_days = 30;
};

class Dispatcher {
 public:
  // How often this machine may give a delivery back before it ends as `not_sent` (CONTRACT §2).
  static constexpr int kMaxReturns = 20;

  // `metrics` outlives the dispatcher. Throws std::runtime_error as http::Engine does.
  Dispatcher(DispatcherOptions options, metrics::Metrics& metrics);
  // Stop comes first, or outcomes are lost with the process.
  ~Dispatcher();

  void Start();

  // Claims no more, waits until all that is in flight is over and recorded, and ends the threads. Takes
  // kStopWithin at most. Idempotent. Returns the outcomes that could not be recorded.
  static constexpr Steady::duration kStopWithin = std::chrono::milliseconds(10'750);
  // Of that, until the last delivery is over: 10.25 s is all that one may take (CONTRACT §2).
  static constexpr Steady::duration kDrainWithin = std::chrono::milliseconds(10'350);
  std::vector<store::Finished> Stop();

  // Sets the gauges that are this dispatcher's own numbers; for each scrape. Any thread.
  void SampleGauges();

  // Ready while connected to the database and not stopping; otherwise the reason (CONTRACT §8).
  DatabaseStatus readiness() const;
  // Threads that have not turned since `then`.
  std::vector<std::string> StuckSince(SteadyTime then) const { return pulse_.StuckSince(then); }

 private:
  // On the claim thread.
  void Send(const store::Claimed& claimed);
  void Abandon(const store::Claimed& claimed);
  void Resume(std::vector<ClaimedDeliveryPtr> deliveries);

  // On a network thread.
  void Post(http::Engine& engine, ClaimedDeliveryPtr delivery);
  void Done(ClaimedDeliveryPtr delivery, http::PostResult result);

  // Any thread.
  void Lost(const std::vector<ClaimedDeliveryPtr>& deliveries);
  void Lost(const ClaimedDelivery& delivery);
  void HandToNetwork(ClaimedDeliveryPtr delivery);
  void Sign(ClaimedDelivery& delivery);
  void GiveBack(const ClaimedDelivery& delivery, http::LocalFault fault, DeliveryResult result);
  void Finish(const ClaimedDelivery& delivery, DeliveryResult result, SteadyTime now);
  void Release(const ClaimedDelivery& delivery, bool counts, SteadyTime now);
  void CountOutcome(Outcome outcome, Cause cause, const AgentId& agent);

  const DispatcherOptions options_;
  metrics::Metrics& metrics_;
  Pulse pulse_;
  const DispatcherId id_;
  Admission admission_;
  HeldDeliveries held_;

  Intake intake_;  // the claim thread's own

  // Stopped in this order: housekeeping, claims, signing, network, records.
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Network> network_;
  boost::asio::thread_pool signer_{1};  // signs large bodies, for which the network would have to wait
  std::atomic<bool> sign_no_more_ = false;
  std::unique_ptr<Housekeeper> housekeeper_;
  std::unique_ptr<ClaimLoop> claim_loop_;

  mutable std::mutex stop_mutex_;
  bool stopping_ = false;
};

}  // namespace postcall::dispatch
