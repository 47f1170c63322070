#include "dispatcher/dispatch/dispatcher.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace postcall::dispatch {

Dispatcher::Dispatcher(DispatcherOptions options, metrics::Metrics& metrics)
    : options_(std::move(options)),
      metrics_(metrics),
      id_(DispatcherId::Random()),
      admission_(options_.limits) {
  recorder_ = std::make_unique<Recorder>(options_.database, metrics_, progress_);
  sender_ = std::make_unique<Sender>(
      Sender::Options{options_.network_threads, options_.http, options_.egress, options_.sources}, admission_,
      *recorder_, late_, metrics_, progress_);
  const ClaimContext context{.dispatcher = id_,
                             .instance = options_.instance,
                             .claim_ids = claim_ids_,
                             .alive_at = alive_at_,
                             .admission = admission_,
                             .held = held_,
                             .recorder = *recorder_,
                             .sender = *sender_,
                             .metrics = metrics_};
  claim_loop_ = std::make_unique<ClaimLoop>(options_.database, options_.claim_sessions, context,
                                            slow_readers_, late_, progress_);
  const auto may_claim = [this] {
    return !claim_loop_->Fault() && !recorder_->Fault() && !sender_->network_fault() &&
           recorder_->HasRoom(admission_.limit());
  };
  slow_lane_ = std::make_unique<SlowLane>(options_.database, context, slow_readers_, may_claim, progress_);
  housekeeper_ = std::make_unique<Housekeeper>(
      options_.database, id_, options_.retention_days, options_.ledger_days, held_,
      [this] { return claim_loop_->connected() && !recorder_->Fault(); }, metrics_, progress_);
  metrics_.in_flight_limit.Set(options_.limits.in_flight);
}

Dispatcher::~Dispatcher() = default;

void Dispatcher::Start() {
  housekeeper_->Start();
  claim_loop_->Start();
  slow_lane_->Start();
}

Dispatcher::Stopped Dispatcher::Stop() {
  {
    const MutexLock lock(stop_mutex_);
    if (std::exchange(stopping_, true)) return {};
  }
  const SteadyTime start = Steady::now();
  admission_.PauseAll(SteadyTime::max());  // a claim that has no slots yet leaves its rows in the outbox
  sender_->Drain(start + kDrainWithin - options_.http.timeout - kOverrun);
  slow_lane_->Drain();
  claim_loop_->Drain(start + kDrainWithin);
  recorder_->Drain(start + kStopWithin);
  housekeeper_->Stop();
  admission_.WaitUntilEmpty(start + kDrainWithin);
  claim_loop_->Stop();
  slow_lane_->Stop();
  sender_->Stop();
  for (ClaimedDeliveryPtr& delivery : late_.TakeAll()) sender_->Requeue(std::move(delivery));
  Stopped stopped{.unrecorded = {}, .cut_off = admission_.in_flight()};
  if (stopped.cut_off > 0) {
    log::Error("stopped while deliveries were in flight, another dispatcher will mark them unknown",
               {{"deliveries", stopped.cut_off}});
  }
  stopped.unrecorded = recorder_->Stop(start + kStopWithin);
  if (stopped.unrecorded.empty() && stopped.cut_off == 0) recorder_->SignOff(id_);
  return stopped;
}

std::optional<std::string> Dispatcher::WhyNotReady() const {
  const MutexLock lock(stop_mutex_);
  if (stopping_) return "draining: the dispatcher is stopping";
  if (auto fault = claim_loop_->Fault()) return fault;
  if (const auto fault = recorder_->Fault()) return "outcomes cannot be recorded: " + *fault;
  return sender_->network_fault();
}

void Dispatcher::SampleGauges() {
  metrics_.in_flight.Set(admission_.in_flight());
  metrics_.slow_in_flight.Set(admission_.slow_in_flight());
}

}  // namespace postcall::dispatch
