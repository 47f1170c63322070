// Takes each delivery from its committed claim to its record: signs it, confirms it when it is late, POSTs it
// once, and records or requeues it. Owns the network threads and the thread that signs large bodies. Any
// thread calls the public functions.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <optional>
#include <string>
#include <utility>

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
    http::SourceAddresses sources;
  };

  // All arguments except the options outlive the sender. Throws std::runtime_error as http::Engine does.
  Sender(Options options, Admission& admission, Recorder& recorder, LateDeliveries& late,
         metrics::Metrics& metrics, Progress& progress);
  ~Sender();

  // The claim is committed and the row is ours: from here on it is sent once, or ends with the reason why
  // not.
  void Send(ClaimedDeliveryPtr delivery);
  // The row is not ours any more, so it is never sent. It is recorded as `not_sent`, even when the row is
  // `unknown` by now.
  void GiveUp(ClaimedDeliveryPtr delivery);
  // Nothing of it was sent, and the delivery is not the reason: its row, if it is ours, is moved back to the
  // outbox. This does not count towards kMaxRequeues.
  void Requeue(ClaimedDeliveryPtr delivery) { Requeue(std::move(delivery), /*counted=*/false); }
  // A call that ended within its claim, with nothing to send.
  void CountFinished(const store::FinishedRow& finished);

  // Why our own network is down, one sentence; none while it is up.
  std::optional<std::string> network_fault() const { return network_watch_.fault(); }

  // The dispatcher stops: a delivery that has not started by `start_before` is requeued, because it would be
  // cut off before its time is over. So is what waits to learn whether its failure is the network's.
  void Drain(SteadyTime start_before);
  // Ends the threads. What is in flight is cut off. Idempotent.
  void Stop();

 private:
  // On a network thread.
  void StartPost(http::Engine& engine, ClaimedDeliveryPtr delivery);
  void Done(ClaimedDeliveryPtr delivery, http::PostResult post);
  void LookAtNetwork(SteadyTime now);
  void AskForName(http::Engine& engine);

  void Sign(ClaimedDelivery& delivery);
  void OnLocalFault(ClaimedDeliveryPtr delivery, LocalFault fault, DeliveryResult result);
  void Requeue(ClaimedDeliveryPtr delivery, bool counted);
  void Finish(ClaimedDeliveryPtr delivery, DeliveryResult result, SteadyTime over_at);
  void Record(ClaimedDelivery& delivery, DeliveryResult result, SteadyTime over_at);
  void CountOutcome(Outcome outcome, Cause cause, const AgentId& agent);

  const Options options_;
  Admission& admission_;
  Recorder& recorder_;
  LateDeliveries& late_;
  metrics::Metrics& metrics_;
  http::Reachability reachability_{options_.sources};
  NetworkWatch network_watch_{reachability_};
  std::atomic<SteadyTime> start_before_ = SteadyTime::max();
  Network network_;
  boost::asio::thread_pool signer_{1};  // signs large bodies, for which the network would have to wait
};

}  // namespace postcall::dispatch
