#include "dispatcher/metrics/metrics.h"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace postcall::metrics {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::Registry;
using Buckets = Histogram::BucketBoundaries;

// The buckets around the limit of 10 s are narrow: they show whether deliveries end in time, and by how much
// one missed the limit.
const Buckets kDeliverySeconds = {.01, .025, .05, .1,   .25, .5,   1,     2,  3,
                                  5,   7.5,  9,   9.75, 10,  10.1, 10.25, 11, 15};
const Buckets kPhaseSeconds = {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 3, 5, 7.5, 10};
// Up to one day: after an outage, rows in the outbox can be that old.
const Buckets kLatencySeconds = {.005, .01, .025, .05, .1,  .25,  .5,   1,     2.5,   5,
                                 10,   30,  60,   300, 900, 3600, 7200, 21600, 43200, 86400};
const Buckets kDatabaseSeconds = {.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30};
const Buckets kLagSeconds = {.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5};
const Buckets kRows = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000};

Counter& AddCounter(Registry& registry, const std::string& name, const std::string& help,
                    const Labels& labels = {}) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}

Gauge& AddGauge(Registry& registry, const std::string& name, const std::string& help,
                const Labels& labels = {}) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels);
}

Histogram& AddHistogram(Registry& registry, const std::string& name, const std::string& help,
                        const Buckets& buckets, const Labels& labels = {}) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels, buckets);
}

Counter& AddConnections(Registry& registry, const char* reused) {
  return AddCounter(registry, "postcall_connections_total",
                    "Connections used by deliveries, by whether an earlier delivery had opened them.",
                    {{"reused", reused}});
}

Histogram& AddPhase(Registry& registry, const char* phase) {
  return AddHistogram(registry, "postcall_phase_duration_seconds",
                      "Own time of each phase of a delivery that had it.", kPhaseSeconds, {{"phase", phase}});
}

std::size_t IndexOf(Outcome outcome) {
  const auto found = std::find(kFinalOutcomes.begin(), kFinalOutcomes.end(), outcome);
  if (found == kFinalOutcomes.end())
    throw std::invalid_argument("metrics: a delivery in flight has not ended");
  return static_cast<std::size_t>(found - kFinalOutcomes.begin());
}

}  // namespace

std::string_view ToString(Operation operation) {
  switch (operation) {
    case Operation::kClaim:
      return "claim";
    case Operation::kRecord:
      return "record";
    case Operation::kRequeue:
      return "requeue";
    case Operation::kConfirm:
      return "confirm";
    case Operation::kResolve:
      return "resolve";
    case Operation::kHeartbeat:
      return "heartbeat";
    case Operation::kSweep:
      return "sweep";
    case Operation::kPartitions:
      return "partitions";
    case Operation::kSample:
      return "sample";
  }
  return "";
}

Metrics::Metrics(const BuildInfo& build)
    : registry_(std::make_shared<Registry>()),
      unknown_resolved(AddCounter(*registry_, "postcall_unknown_resolved_total",
                                  "Late outcomes that replaced `unknown` in the delivery log.")),
      connections_reused(AddConnections(*registry_, "true")),
      connections_new(AddConnections(*registry_, "false")),
      resend_guard(AddCounter(*registry_, "postcall_resend_guard_total",
                              "Times that a second send of the same delivery was stopped.")),
      lookup(AddPhase(*registry_, "lookup")),
      connect(AddPhase(*registry_, "connect")),
      tls(AddPhase(*registry_, "tls")),
      first_byte(AddPhase(*registry_, "first_byte")),
      dispatch_latency(AddHistogram(*registry_, "postcall_dispatch_latency_seconds",
                                    "Time from when a delivery was due to when its POST started.",
                                    kLatencySeconds)),
      claim_duration(AddHistogram(*registry_, "postcall_claim_duration_seconds",
                                  "Time of a claim's transaction.", kDatabaseSeconds)),
      record_duration(AddHistogram(*registry_, "postcall_record_duration_seconds",
                                   "Time of a transaction that records outcomes.", kDatabaseSeconds)),
      loop_lag(AddHistogram(*registry_, "postcall_loop_lag_seconds",
                            "How late a network thread's timer fires.", kLagSeconds)),
      claim_batch_size(AddHistogram(*registry_, "postcall_claim_batch_size", "Deliveries per claim.", kRows)),
      record_batch_size(AddHistogram(*registry_, "postcall_record_batch_size",
                                     "Outcomes recorded per transaction.", kRows)),
      in_flight(AddGauge(*registry_, "postcall_in_flight", "Deliveries in flight.")),
      in_flight_limit(AddGauge(*registry_, "postcall_in_flight_limit",
                               "Most deliveries that this instance has in flight at once.")),
      slow_in_flight(AddGauge(*registry_, "postcall_slow_in_flight",
                              "Deliveries in flight of agents that were slow recently.")),
      outbox_depth(AddGauge(*registry_, "postcall_outbox_depth",
                            "Deliveries waiting in the outbox, counted up to 100,000; the same from each "
                            "instance, so take the max().")),
      outbox_oldest_age(AddGauge(*registry_, "postcall_outbox_oldest_age_seconds",
                                 "How long the oldest delivery in the outbox has been due; the same from "
                                 "each instance, so take the max().")),
      enqueued_recent(
          AddGauge(*registry_, "postcall_enqueued_recent",
                   "Calls that were enqueued in the last 5 minutes, counted up to 1,000,000; the same "
                   "from each instance, so take the max().")),
      unaccounted(AddGauge(*registry_, "postcall_unaccounted",
                           "Enqueued calls that are neither waiting, in flight nor in the delivery log; "
                           "any value but 0 is a fault.")),
      outcomes_unrecorded(AddGauge(*registry_, "postcall_outcomes_unrecorded",
                                   "Deliveries that are over but not yet in the delivery log.")),
      database_connected(
          AddGauge(*registry_, "postcall_database_connected", "1 while connected to the database, else 0.")),
      partitions_ahead_days(AddGauge(*registry_, "postcall_partitions_ahead_days",
                                     "Days ahead for which the delivery log has partitions.")),
      certificate_expiry_(AddGauge(*registry_, "postcall_certificate_expiry_timestamp_seconds",
                                   "The next time that a certificate ends, in seconds since the epoch, among "
                                   "the latest certificate of each host seen in the last day; +Inf while "
                                   "there is none.")),
      certificates_expired_(AddGauge(*registry_, "postcall_certificates_expired",
                                     "Hosts seen in the last day whose latest certificate has ended.")),
      agents_failing_(AddGauge(*registry_, "postcall_agents_failing",
                               "Agents with deliveries in the last 10 minutes, none of them delivered.")),
      agents_active_(
          AddGauge(*registry_, "postcall_agents_active", "Agents with deliveries in the last 10 minutes.")) {
  for (std::size_t o = 0; o < kFinalOutcomes.size(); ++o) {
    const std::string outcome(ToString(kFinalOutcomes[o]));
    for (std::size_t c = 0; c < kCauses.size(); ++c) {
      deliveries_[o][c] = &AddCounter(*registry_, "postcall_deliveries_total", "Deliveries that are over.",
                                      {{"outcome", outcome}, {"cause", std::string(ToString(kCauses[c]))}});
    }
    delivery_duration_[o] =
        &AddHistogram(*registry_, "postcall_delivery_duration_seconds",
                      "Time from a delivery's start to its end.", kDeliverySeconds, {{"outcome", outcome}});
  }
  for (std::size_t i = 0; i < responses_.size(); ++i) {
    responses_[i] =
        &AddCounter(*registry_, "postcall_responses_total", "Final responses, by class of status.",
                    {{"code", std::to_string(i + 1) + "xx"}});
  }
  for (std::size_t i = 0; i < kOperations.size(); ++i) {
    database_errors_[i] =
        &AddCounter(*registry_, "postcall_database_errors_total", "Database operations that failed.",
                    {{"operation", std::string(ToString(kOperations[i]))}});
  }
  for (std::size_t i = 0; i < kLocalFaults.size(); ++i) {
    local_faults_[i] = &AddCounter(*registry_, "postcall_local_faults_total",
                                   "Deliveries that this machine could not start, by what it ran out of.",
                                   {{"kind", std::string(ToString(kLocalFaults[i]))}});
  }
  for (std::size_t i = 0; i < kDeclineReasons.size(); ++i) {
    declined_recent_[i] = &AddGauge(
        *registry_, "postcall_declined_recent",
        "Completed calls of the last 5 minutes that were not enqueued, by reason; counted up to 1,000,000; "
        "the same from each instance, so take the max().",
        {{"reason", std::string(ToString(kDeclineReasons[i]))}});
  }
  AddGauge(*registry_, "postcall_build_info", "1; the labels name this build.",
           {{"version", build.version}, {"libcurl", build.libcurl}, {"libpq", build.libpq}})
      .Set(1);
}

std::string Metrics::Expose(SteadyTime now, DatabaseTime clock) {
  const CertificateExpiry::Sample expiry = certificates.Look(now, clock);
  certificate_expiry_.Set(expiry.soonest
                              ? std::chrono::duration<double>(expiry.soonest->time_since_epoch()).count()
                              : std::numeric_limits<double>::infinity());
  certificates_expired_.Set(static_cast<double>(expiry.expired));
  const AgentHealth::Counts counts = agents.Count(now);
  agents_failing_.Set(static_cast<double>(counts.failing));
  agents_active_.Set(static_cast<double>(counts.active));

  std::vector<prometheus::MetricFamily> families = registry_->Collect();
  std::ranges::move(process_.Collect(), std::back_inserter(families));
  std::ranges::sort(families, {}, &prometheus::MetricFamily::name);
  return prometheus::TextSerializer().Serialize(families);
}

Counter& Metrics::deliveries(Outcome outcome, Cause cause) {
  return *deliveries_[IndexOf(outcome)][static_cast<std::size_t>(cause)];
}

Histogram& Metrics::delivery_duration(Outcome outcome) { return *delivery_duration_[IndexOf(outcome)]; }

Counter& Metrics::responses(int http_status) {
  return *responses_[static_cast<std::size_t>(std::clamp(http_status / 100, 1, 5) - 1)];
}

Counter& Metrics::database_errors(Operation operation) {
  return *database_errors_[static_cast<std::size_t>(operation)];
}

Counter& Metrics::local_faults(LocalFault kind) { return *local_faults_[static_cast<std::size_t>(kind)]; }

Gauge& Metrics::declined_recent(DeclineReason reason) {
  return *declined_recent_[static_cast<std::size_t>(reason)];
}

}  // namespace postcall::metrics
