#include "dispatcher/dispatch/sender.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "common/log.h"
#include "schema/signature.h"

namespace postcall::dispatch {
namespace {

// Signing this many bytes takes about 0.1 ms. A network thread does not sign larger bodies.
constexpr std::size_t kSignedByNetwork = std::size_t{64} * 1024;

// How long claiming, or one endpoint, pauses after this machine ran out of something.
constexpr auto kPauseAfterFault = std::chrono::seconds(1);

void ObserveIf(prometheus::Histogram& histogram, const std::optional<double>& milliseconds) {
  if (milliseconds) histogram.Observe(*milliseconds / 1000);
}

void LogNotDelivered(const CallId& call, const AgentId& agent, Outcome outcome,
                     const std::string& url_for_log, std::optional<int> status, const std::string& error) {
  log::Info("a call was not delivered", {{"call", call.get()},
                                         {"agent", agent.get()},
                                         {"outcome", ToString(outcome)},
                                         {"url", url_for_log},
                                         {"status", status},
                                         {"error", error}});
}

}  // namespace

Sender::Sender(Options options, Admission& admission, Recorder& recorder, LateDeliveries& late,
               metrics::Metrics& metrics, Progress& progress)
    : options_(std::move(options)),
      admission_(admission),
      recorder_(recorder),
      late_(late),
      metrics_(metrics),
      network_(options_.network_threads, options_.egress, reachability_, metrics, options_.http, progress,
               [this](http::Engine& engine) {
                 LookAtNetwork(Steady::now());
                 AskForName(engine);
               }) {}

Sender::~Sender() { Stop(); }

void Sender::Drain(SteadyTime start_before) {
  start_before_ = start_before;
  network_watch_.StopKeeping();
}

void Sender::Stop() {
  Drain(SteadyTime());
  signer_.join();
  network_.Stop();
}

void Sender::Send(ClaimedDeliveryPtr delivery) {
  if (Steady::now() >= start_before_.load()) return Requeue(std::move(delivery));
  const bool has_headers = !delivery->webhook_headers.empty();
  if (!has_headers &&
      delivery->body.size() * delivery->destination->target().secrets.size() > kSignedByNetwork) {
    boost::asio::post(signer_, [this, delivery = std::move(delivery)]() mutable {
      if (Steady::now() >= start_before_.load()) return Requeue(std::move(delivery));
      Sign(*delivery);
      Send(std::move(delivery));
    });
    return;
  }
  const std::string& endpoint = delivery->destination->endpoint;
  network_.RunFor(endpoint, [this, delivery = std::move(delivery)](http::Engine& engine) mutable {
    StartPost(engine, std::move(delivery));
  });
}

void Sender::GiveUp(ClaimedDeliveryPtr delivery) {
  DeliveryResult result;
  result.outcome = Outcome::kNotSent;
  result.reached = Reached::kNothing;
  result.error =
      "Nothing was sent: the dispatcher was held up for so long that other dispatchers declared it dead.";
  Record(*delivery, std::move(result), Steady::now());
}

void Sender::CountFinished(const store::FinishedRow& finished) {
  const store::PickedRow& row = finished.row;
  CountOutcome(finished.outcome, row.cause, row.agent_id);
  LogNotDelivered(row.call_id, row.agent_id, finished.outcome, finished.url, std::nullopt, finished.error);
}

void Sender::Sign(ClaimedDelivery& delivery) {
  const DatabaseTime now = delivery.claimed.ToDatabaseTime(Steady::now());
  delivery.webhook_headers =
      WebhookHeaders(delivery.row.call_id, std::chrono::floor<std::chrono::seconds>(now), delivery.body,
                     delivery.destination->target().secrets);
}

void Sender::StartPost(http::Engine& engine, ClaimedDeliveryPtr delivery) {
  const SteadyTime now = Steady::now();
  if (now >= start_before_.load()) return Requeue(std::move(delivery));
  if (delivery->MustBeConfirmed(now)) {
    late_.Add(std::move(delivery));
    return;
  }
  const DatabaseTime database_now = delivery->claimed.ToDatabaseTime(now);
  metrics_.dispatch_latency.Observe(
      std::max(0.0, std::chrono::duration<double>(database_now - delivery->row.due_at).count()));

  http::PostRequest request;
  request.url = delivery->destination->target().url;
  request.headers = delivery->destination->target().headers;
  if (delivery->webhook_headers.empty()) Sign(*delivery);
  std::ranges::move(delivery->webhook_headers, std::back_inserter(request.headers));
  request.body = std::move(delivery->body);
  request.send_before = delivery->send_before();
  engine.Post(std::move(request), [this, delivery = std::move(delivery)](http::PostResult result) mutable {
    Done(std::move(delivery), std::move(result));
  });
}

void Sender::Done(ClaimedDeliveryPtr delivery, http::PostResult post) {
  const SteadyTime now = Steady::now();
  const std::string& endpoint = delivery->destination->endpoint;
  if (post.fault) {
    OnLocalFault(std::move(delivery), *post.fault, std::move(post.result));
    return;
  }
  if (network_watch_.MayBeOurs(endpoint, post, now)) {
    network_watch_.Keep({std::move(delivery), std::move(post), now});
    LookAtNetwork(now);
    return;
  }
  if (post.result.reached > Reached::kNothing) network_watch_.NoteReached(endpoint, now);
  if (post.result.certificate_ends_at) {
    metrics_.certificates.Note(endpoint, *post.result.certificate_ends_at, now);
  }
  Finish(std::move(delivery), std::move(post.result), now);
}

// Ends or requeues the deliveries whose failure was kept and is now decided (CONTRACT §2, "Our own network
// down"). Requeueing them does not count towards kMaxRequeues.
void Sender::LookAtNetwork(SteadyTime now) {
  NetworkWatch::Found found = network_watch_.Decide(now);
  if (found.came_up) log::Info("the network is up again, claiming continues");
  if (found.went_down) {
    log::Error("the network is down, claiming stops except for one call per second",
               {{"error", network_watch_.fault().value_or("")}});
    admission_.PauseAll(now + kPauseAfterFault);
  }
  for (FailedDelivery& failed : found.endpoints) {
    Finish(std::move(failed.delivery), std::move(failed.post.result), failed.failed_at);
  }
  for (FailedDelivery& failed : found.networks) {
    metrics_.local_faults(LocalFault::kNetwork).Increment();
    Requeue(std::move(failed.delivery));
  }
  for (FailedDelivery& failed : found.sources) {
    metrics_.local_faults(LocalFault::kNetwork).Increment();
    admission_.PauseEndpoint(failed.delivery->destination->endpoint, now + kPauseAfterFault);
    Requeue(std::move(failed.delivery));
  }
  for (FailedDelivery& failed : found.undecided) Requeue(std::move(failed.delivery));
}

// A name server that works resolves a name that it resolved before. So asking for such a name shows within a
// moment whether the server fails, or only the other names do.
void Sender::AskForName(http::Engine& engine) {
  const std::string name = network_watch_.NameToAskFor();
  if (name.empty()) return;
  engine.Lookup(name, [this, name](const http::LookupResult& lookup) {
    const bool found = !lookup.addresses.empty();
    if (lookup.pinned) {
      reachability_.ForgetKnownName();  // no name server is asked for it any more
    } else if (found || lookup.failure == http::LookupFailure::kNotFound ||
               lookup.failure == http::LookupFailure::kNoAddress) {
      reachability_.NoteNameServer(name, found, Steady::now());
    }
  });
}

// This machine's own fault, before a byte was sent: not the customer's (CONTRACT §2).
void Sender::OnLocalFault(ClaimedDeliveryPtr delivery, LocalFault fault, DeliveryResult result) {
  metrics_.local_faults(fault).Increment();
  const SteadyTime now = Steady::now();
  if (fault == LocalFault::kPorts) {
    admission_.PauseEndpoint(delivery->destination->endpoint, now + kPauseAfterFault);
  } else {
    admission_.PauseAll(now + kPauseAfterFault);
  }
  const bool is_last = !delivery->MayBeRequeued();
  log::Warning(is_last ? "this machine ran out of a resource again and again, a delivery ends as not_sent"
                       : "this machine ran out of a resource, requeueing a delivery",
               {{"call", delivery->row.call_id.get()},
                {"resource", ToString(fault)},
                {"requeues", delivery->row.requeues}});
  if (is_last) {
    // The slot is released without a duration, because nothing is learned about the agent.
    Record(*delivery, std::move(result), now);
    return;
  }
  Requeue(std::move(delivery), /*counted=*/true);
}

void Sender::Requeue(ClaimedDeliveryPtr delivery, bool counted) {
  recorder_.Requeue({.key = delivery->key,
                     .requeues = delivery->row.requeues + (counted ? 1 : 0),
                     .cause = delivery->row.cause,
                     .over_at = delivery->claimed.ToDatabaseTime(Steady::now())},
                    std::move(delivery->held));
}

// The recorder has the outcome before the slot is free: a stop waits for the slots, and then for the
// recorder.
void Sender::Finish(ClaimedDeliveryPtr delivery, DeliveryResult result, SteadyTime over_at) {
  Record(*delivery, std::move(result), over_at);
  std::move(delivery->slot).Over(over_at);
}

void Sender::Record(ClaimedDelivery& delivery, DeliveryResult result, SteadyTime over_at) {
  CountOutcome(result.outcome, delivery.row.cause, delivery.row.agent_id);
  metrics_.delivery_duration(result.outcome).Observe(result.times.total / 1000);
  ObserveIf(metrics_.lookup, result.times.lookup);
  ObserveIf(metrics_.connect, result.times.connect);
  ObserveIf(metrics_.tls, result.times.tls);
  ObserveIf(metrics_.first_byte, result.times.first_byte);
  if (result.http_status) metrics_.responses(*result.http_status).Increment();
  if (result.outcome != Outcome::kDelivered) {
    LogNotDelivered(delivery.row.call_id, delivery.row.agent_id, result.outcome,
                    delivery.destination->target().url_for_log, result.http_status, result.error);
  }
  recorder_.Finish(
      {delivery.key, delivery.row.cause, delivery.claimed.ToDatabaseTime(over_at), std::move(result)},
      std::move(delivery.held));
}

void Sender::CountOutcome(Outcome outcome, Cause cause, const AgentId& agent) {
  metrics_.deliveries(outcome, cause).Increment();
  metrics_.agents.Note(agent, outcome == Outcome::kDelivered, Steady::now());
}

}  // namespace postcall::dispatch
