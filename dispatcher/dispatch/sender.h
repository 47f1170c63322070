// Takes each delivery from its committed claim to its record: signs it, confirms it when it is late, POSTs it
// once, and records or requeues it. Owns the network threads and the thread that signs large bodies. Any
// thread calls the public functions.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/progress.h"
#include "dispatcher/dispatch/admission.h"
#include "dispatcher/dispatch/claimed_delivery.h"
#include "dispatcher/dispatch/late_deliveries.h"
#include "dispatcher/dispatch/network.h"
#include "dispatcher/dispatch/network_watch.h"
#include "dispatcher/dispatch/recorder.h"
#include "dispatcher/egress/policy.h"
#include "dispatcher/metrics/metrics.h"

namespace postcall::dispatch {

class Sender {
 public:
  struct Options {
    int network_threads = 1;
    http::EngineOptions http;
    egress::Policy egress;
  };

  // All arguments except the options outlive the sender. Throws std::runtime_error as http::Engine does.
  Sender(Options options, Admission& admission, Recorder& recorder, LateDeliveries& late,
         metrics::Metrics& metrics, Progress& progress);
  ~Sender();

  // The claim is committed and the row is ours: from here on it is sent once, or ends with the reason why
  // not.
  void Send(ClaimedDeliveryPtr delivery);
  // The delivery is never sent. It is recorded as `not_sent` with this error, even when the row is `unknown`
  // by now.
  void GiveUp(ClaimedDeliveryPtr delivery, const char* error);
  static constexpr const char* kHeldUp =
      "Nothing was sent: the dispatcher was held up for so long that other dispatchers declared it dead.";
  static constexpr const char* kStopped = "Nothing was sent: the dispatcher stopped before it could send.";
  static constexpr const char* kInDoubt =
      "Nothing was sent: the dispatcher stopped before it knew whether the call was claimed.";
  // A call that ended within its claim, with nothing to send.
  void CountFinished(const store::FinishedRow& finished);

  // Why our own network is down, one sentence; none while it is up.
  std::optional<std::string> network_fault() const { return network_watch_.fault(); }

  // The dispatcher stops: what waits to learn whether its failure is the network's is requeued now.
  void StopKeeping() { network_watch_.StopKeeping(); }
  // Ends the threads. What is in flight is cut off. Idempotent.
  void Stop();

 private:
  // On a network thread.
  void Post(http::Engine& engine, ClaimedDeliveryPtr delivery);
  void Done(ClaimedDeliveryPtr delivery, http::PostResult post);
  void LookAtNetwork(SteadyTime now);
  void AskForName(http::Engine& engine);

  void Sign(ClaimedDelivery& delivery);
  void Requeue(ClaimedDeliveryPtr delivery, LocalFault fault, DeliveryResult result);
  void Finish(ClaimedDeliveryPtr delivery, DeliveryResult result, SteadyTime over_at);
  void Record(ClaimedDelivery& delivery, DeliveryResult result, SteadyTime over_at);
  void CountOutcome(Outcome outcome, Cause cause, const AgentId& agent);

  const Options options_;
  Admission& admission_;
  Recorder& recorder_;
  LateDeliveries& late_;
  metrics::Metrics& metrics_;
  http::Reachability reachability_;
  NetworkWatch network_watch_{reachability_};
  std::atomic<bool> sign_no_more_ = false;
  Network network_;
  boost::asio::thread_pool signer_{1};  // signs large bodies, for which the network would have to wait
};

}  // namespace postcall::dispatch
