#include "dispatcher/dispatch/dispatcher.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <unordered_set>
#include <utility>

#include "common/log.h"
#include "schema/signature.h"

namespace postcall::dispatch {
namespace {

// A send later than this after its claim first confirms that the row is still its own (CONTRACT §4).
constexpr auto kFenceHolds = std::chrono::seconds(10);

// A delivery that reaches the network later than this after its claim is confirmed first, once: otherwise too
// little of the fence's 10 s might be left to connect in.
constexpr auto kFenceIsFresh = std::chrono::seconds(1);

// To sign so much takes about 0.1 ms; more is not done on a network thread.
constexpr std::size_t kSignedByNetwork = std::size_t{64} * 1024;

// How long claiming, or one endpoint, pauses after this machine ran out of something.
constexpr auto kPauseAfterFault = std::chrono::seconds(1);

DispatcherId NewDispatcherId() {
  Uuid id = Uuid::Random();
  std::fill(id.bytes.begin() + 8, id.bytes.end(), std::uint8_t{0});  // the claims count there
  return DispatcherId(id);
}

metrics::LocalFault ToMetric(http::LocalFault fault) {
  switch (fault) {
    case http::LocalFault::kNone:
    case http::LocalFault::kMemory:
      return metrics::LocalFault::kMemory;
    case http::LocalFault::kDescriptors:
      return metrics::LocalFault::kDescriptors;
    case http::LocalFault::kPorts:
      return metrics::LocalFault::kPorts;
  }
  return metrics::LocalFault::kMemory;
}

void ObserveIf(prometheus::Histogram& histogram, const std::optional<double>& milliseconds) {
  if (milliseconds) histogram.Observe(*milliseconds / 1000);
}

// `status` 0: there was no response.
void LogNotDelivered(const CallId& call, const AgentId& agent, Outcome outcome,
                     const std::string& url_for_log, int status, const std::string& error) {
  log::Info("a call was not delivered", {{"call", call.get()},
                                         {"agent", agent.get()},
                                         {"outcome", ToString(outcome)},
                                         {"url", url_for_log},
                                         {"status", status},
                                         {"error", error}});
}

}  // namespace

Dispatcher::Dispatcher(DispatcherOptions options, metrics::Metrics& metrics)
    : options_(std::move(options)),
      metrics_(metrics),
      id_(NewDispatcherId()),
      admission_(options_.limits),
      intake_(admission_, held_) {
  network_ =
      std::make_unique<Network>(options_.network_threads, options_.egress, metrics_, options_.http, pulse_);
  recorder_ = std::make_unique<Recorder>(options_.database, held_, metrics_, pulse_);
  housekeeper_ =
      std::make_unique<Housekeeper>(options_.database, id_, options_.retention_days, held_, metrics_, pulse_);
  claim_loop_ = std::make_unique<ClaimLoop>(
      options_.database, id_, options_.instance, admission_, metrics_, pulse_,
      ClaimLoop::Spine{
          .judge = intake_.MakeJudge(),
          .send = [this](const store::Claimed& claimed) { Send(claimed); },
          .abandon = [this](const store::Claimed& claimed) { Abandon(claimed); },
          .resume = [this](std::vector<ClaimedDeliveryPtr> deliveries) { Resume(std::move(deliveries)); },
          .lost = [this](const std::vector<ClaimedDeliveryPtr>& deliveries) { Lost(deliveries); },
          .unrecorded = [this] { return recorder_->unrecorded(); },
      });
  metrics_.in_flight_limit.Set(options_.limits.in_flight);
}

Dispatcher::~Dispatcher() = default;

void Dispatcher::Start() {
  housekeeper_->Start();
  claim_loop_->Start();
}

std::vector<store::Finished> Dispatcher::Stop() {
  {
    const std::lock_guard lock(stop_mutex_);
    if (std::exchange(stopping_, true)) return {};
  }
  const SteadyTime start = Steady::now();
  claim_loop_->Drain(start + kDrainWithin);
  recorder_->Drain(start + kStopWithin);
  housekeeper_->Stop();
  admission_.WaitUntilEmpty(start + kDrainWithin);
  claim_loop_->Stop();
  sign_no_more_ = true;
  signer_.join();
  network_->Stop();
  Lost(claim_loop_->TakeUnconfirmed());
  if (const int cut_off = admission_.in_flight(); cut_off > 0) {
    log::Error("stopped while deliveries were in flight, others will mark them unknown",
               {{"deliveries", cut_off}});
  }
  std::vector<store::Finished> unrecorded = recorder_->Stop(start + kStopWithin);
  if (unrecorded.empty()) claim_loop_->SignOff();
  return unrecorded;
}

DatabaseStatus Dispatcher::readiness() const {
  const std::lock_guard lock(stop_mutex_);
  if (stopping_) return {false, "draining: the dispatcher is stopping"};
  return claim_loop_->status();
}

// The claim is committed: from here on each of its rows is sent once, or ends with the reason why not.
void Dispatcher::Send(const store::Claimed& claimed) {
  const std::unordered_set<DeliveryId> ours(claimed.sent.begin(), claimed.sent.end());
  Intake::Taken taken = intake_.Take(claimed);
  std::vector<ClaimedDeliveryPtr> lost;
  for (ClaimedDeliveryPtr& delivery : taken.deliveries) {
    if (ours.contains(delivery->key.id)) {
      HandToNetwork(std::move(delivery));
    } else {
      lost.push_back(std::move(delivery));
    }
  }
  for (const Intake::FinishedByClaim& finished : taken.finished) {
    CountOutcome(finished.outcome, finished.cause, finished.agent);
    LogNotDelivered(finished.call, finished.agent, finished.outcome, finished.url_for_log, 0, finished.error);
  }
  Lost(lost);
}

// Whether the claim was made is not known, and will not be by this process. Nothing of it was sent.
void Dispatcher::Abandon(const store::Claimed& claimed) { Lost(intake_.Take(claimed).deliveries); }

void Dispatcher::Resume(std::vector<ClaimedDeliveryPtr> deliveries) {
  for (ClaimedDeliveryPtr& delivery : deliveries) {
    delivery->confirmed = true;
    HandToNetwork(std::move(delivery));
  }
}

// Others took this dispatcher for gone and the rows say `unknown`, or it is being stopped. They are never
// sent; that nothing was sent is the truth that replaces it.
void Dispatcher::Lost(const std::vector<ClaimedDeliveryPtr>& deliveries) {
  for (const ClaimedDeliveryPtr& delivery : deliveries) Lost(*delivery);
}

void Dispatcher::Lost(const ClaimedDelivery& delivery) {
  DeliveryResult result;
  result.outcome = Outcome::kNotSent;
  result.reached = Reached::kNothing;
  result.error = "Nothing was sent: the dispatcher was held up for so long that the delivery was given up.";
  const SteadyTime now = Steady::now();
  Finish(delivery, std::move(result), now);
  Release(delivery, /*counts=*/false, now);
}

void Dispatcher::HandToNetwork(ClaimedDeliveryPtr delivery) {
  const bool is_signed = !delivery->signature.empty();
  if (!is_signed &&
      delivery->body.size() * delivery->destination->target().secrets.size() > kSignedByNetwork) {
    boost::asio::post(signer_, [this, delivery = std::move(delivery)]() mutable {
      if (sign_no_more_) {
        Lost(*delivery);
        return;
      }
      Sign(*delivery);
      HandToNetwork(std::move(delivery));
    });
    return;
  }
  const std::string& endpoint = delivery->destination->endpoint;
  // std::function wants copies, a delivery has none.
  auto shared = std::make_shared<ClaimedDeliveryPtr>(std::move(delivery));
  network_->Post(endpoint, [this, shared](http::Engine& engine) { Post(engine, std::move(*shared)); });
}

void Dispatcher::Sign(ClaimedDelivery& delivery) {
  const DatabaseTime now = delivery.claimed.ToDatabaseTime(Steady::now());
  delivery.signature = SignatureHeaders(delivery.call_id, std::chrono::floor<std::chrono::seconds>(now),
                                        delivery.body, delivery.destination->target().secrets);
}

void Dispatcher::Post(http::Engine& engine, ClaimedDeliveryPtr delivery) {
  const SteadyTime now = Steady::now();
  if (now - delivery->fence > (delivery->confirmed ? kFenceHolds : kFenceIsFresh)) {
    claim_loop_->ConfirmFirst(std::move(delivery));
    return;
  }
  const DatabaseTime database_now = delivery->claimed.ToDatabaseTime(now);
  metrics_.dispatch_latency.Observe(
      std::max(0.0, std::chrono::duration<double>(database_now - delivery->due_at).count()));

  http::PostRequest request;
  request.url = delivery->destination->target().url;
  request.headers = delivery->destination->target().headers;
  if (delivery->signature.empty()) Sign(*delivery);
  std::ranges::move(delivery->signature, std::back_inserter(request.headers));
  request.body = std::move(delivery->body);
  request.send_before = delivery->fence + kFenceHolds;
  auto shared = std::make_shared<ClaimedDeliveryPtr>(std::move(delivery));
  engine.Post(std::move(request),
              [this, shared](http::PostResult result) { Done(std::move(*shared), std::move(result)); });
}

void Dispatcher::Done(ClaimedDeliveryPtr delivery, http::PostResult post) {
  const SteadyTime now = Steady::now();
  if (post.fault == http::LocalFault::kNone) {
    if (post.result.certificate_ends_at) {
      metrics_.certificates.Note(delivery->destination->endpoint, *post.result.certificate_ends_at, now);
    }
    Finish(*delivery, std::move(post.result), now);
    Release(*delivery, /*counts=*/true, now);
  } else {
    GiveBack(*delivery, post.fault, std::move(post.result));
    Release(*delivery, /*counts=*/false, now);
  }
}

// This machine's own fault, before a byte was sent: not the customer's (CONTRACT §2).
void Dispatcher::GiveBack(const ClaimedDelivery& delivery, http::LocalFault fault, DeliveryResult result) {
  metrics_.local_faults(ToMetric(fault)).Increment();
  const SteadyTime now = Steady::now();
  if (fault == http::LocalFault::kPorts) {
    admission_.PauseEndpoint(delivery.destination->endpoint, now + kPauseAfterFault);
  } else {
    admission_.PauseAll(now + kPauseAfterFault);
  }
  const bool is_last = delivery.returns >= kMaxReturns;
  log::Warning(is_last ? "this machine ran out of a resource again and again, a delivery is given up"
                       : "this machine ran out of a resource, a delivery goes back to the outbox",
               {{"call", delivery.call_id.get()},
                {"resource", metrics::ToString(ToMetric(fault))},
                {"returns", delivery.returns}});
  if (is_last) {
    Finish(delivery, std::move(result), now);
    return;
  }
  recorder_->GiveBack(store::Returned{delivery.key, delivery.returns + 1, delivery.cause});
}

void Dispatcher::Finish(const ClaimedDelivery& delivery, DeliveryResult result, SteadyTime now) {
  CountOutcome(result.outcome, delivery.cause, delivery.agent_id);
  metrics_.delivery_duration(result.outcome).Observe(result.times.total / 1000);
  ObserveIf(metrics_.lookup, result.times.lookup);
  ObserveIf(metrics_.connect, result.times.connect);
  ObserveIf(metrics_.tls, result.times.tls);
  ObserveIf(metrics_.first_byte, result.times.first_byte);
  if (result.http_status) metrics_.responses(*result.http_status).Increment();
  if (result.outcome != Outcome::kDelivered) {
    LogNotDelivered(delivery.call_id, delivery.agent_id, result.outcome,
                    delivery.destination->target().url_for_log, result.http_status.value_or(0), result.error);
  }
  recorder_->Finish(
      store::Finished{delivery.key, delivery.cause, delivery.claimed.ToDatabaseTime(now), std::move(result)});
}

// The slot is free before anybody waits for it.
void Dispatcher::Release(const ClaimedDelivery& delivery, bool counts, SteadyTime now) {
  admission_.Release(delivery.slot, counts, now);
  claim_loop_->Wake();
}

void Dispatcher::SampleGauges() {
  metrics_.in_flight.Set(admission_.in_flight());
  metrics_.slow_in_flight.Set(admission_.slow_in_flight());
}

void Dispatcher::CountOutcome(Outcome outcome, Cause cause, const AgentId& agent) {
  metrics_.deliveries(outcome, cause).Increment();
  metrics_.agents.Note(agent, outcome == Outcome::kDelivered, Steady::now());
}

}  // namespace postcall::dispatch
