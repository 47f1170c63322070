// Every metric of the program, in one struct (CONTRACT §8). All series exist from the start, at 0, so that a
// rate or an alert never waits for the first event. No label holds an agent, a URL or a call. Any thread. The
// references to the series are made once and kept, because a look-up by label locks and hashes.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <memory>
#include <string>

#include "common/clock.h"
#include "dispatcher/metrics/agent_health.h"
#include "dispatcher/metrics/certificate_expiry.h"
#include "dispatcher/metrics/process_metrics.h"
#include "schema/decline_reason.h"
#include "schema/local_fault.h"
#include "schema/outcome.h"

namespace postcall::metrics {

// Which database operation failed: label `operation` of postcall_database_errors_total.
enum class Operation {
  kClaim,
  kRecord,
  kRequeue,
  kConfirm,
  kResolve,
  kHeartbeat,
  kSweep,
  kPartitions,
  kSample,
};
inline constexpr std::array kOperations = {
    Operation::kClaim,   Operation::kRecord,     Operation::kRequeue,
    Operation::kConfirm, Operation::kResolve,    Operation::kHeartbeat,
    Operation::kSweep,   Operation::kPartitions, Operation::kSample,
};

inline DatabaseTime WallClock() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

// The text in the labels.
std::string_view ToString(Operation operation);

// Labels of postcall_build_info.
struct BuildInfo {
  std::string version = POSTCALL_VERSION;
  std::string libcurl = "unknown";
  std::string libpq = "unknown";
};

class Metrics {
  // The first member, because everything below refers to it.
  std::shared_ptr<prometheus::Registry> registry_;
  std::array<std::array<prometheus::Counter*, kCauses.size()>, kFinalOutcomes.size()> deliveries_{};
  std::array<prometheus::Histogram*, kFinalOutcomes.size()> delivery_duration_{};
  std::array<prometheus::Counter*, 5> responses_{};
  std::array<prometheus::Counter*, kOperations.size()> database_errors_{};
  std::array<prometheus::Counter*, kLocalFaults.size()> local_faults_{};
  std::array<prometheus::Gauge*, kDeclineReasons.size()> declined_recent_{};

 public:
  explicit Metrics(const BuildInfo& build = {});
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // Prometheus text format 0.0.4, process_* included. Samples `certificates` and `agents` at `now`. `clock`
  // is the wall clock, because certificates end by it.
  std::string Expose(SteadyTime now = Steady::now(), DatabaseTime clock = WallClock());

  // Deliveries that ended. The outcome must be final: kInFlight throws std::invalid_argument, here and in
  // delivery_duration.
  prometheus::Counter& deliveries(Outcome outcome, Cause cause);
  // Seconds from a delivery's start to its end.
  prometheus::Histogram& delivery_duration(Outcome outcome);
  // By the status of the final response. A status outside 100..599 counts in the nearest class.
  prometheus::Counter& responses(int http_status);
  prometheus::Counter& database_errors(Operation operation);
  prometheus::Counter& local_faults(LocalFault kind);
  // Calls of the last 5 minutes that were not enqueued.
  prometheus::Gauge& declined_recent(DeclineReason reason);

  // Counters.
  prometheus::Counter& unknown_resolved;  // late outcomes that replaced `unknown`
  prometheus::Counter& connections_reused;
  prometheus::Counter& connections_new;
  prometheus::Counter& resend_guard;  // times a second send was stopped

  // Histograms of seconds.
  prometheus::Histogram& lookup;  // postcall_phase_duration_seconds, by phase
  prometheus::Histogram& connect;
  prometheus::Histogram& tls;
  prometheus::Histogram& first_byte;
  prometheus::Histogram& dispatch_latency;  // due to POST started
  prometheus::Histogram& claim_duration;
  prometheus::Histogram& record_duration;
  prometheus::Histogram& loop_lag;

  // Histograms of rows.
  prometheus::Histogram& claim_batch_size;
  prometheus::Histogram& record_batch_size;

  // Gauges. The part of the program that owns the number sets it.
  prometheus::Gauge& in_flight;
  prometheus::Gauge& in_flight_limit;
  prometheus::Gauge& slow_in_flight;
  prometheus::Gauge& outbox_depth;
  prometheus::Gauge& outbox_oldest_age;  // seconds
  prometheus::Gauge& enqueued_recent;    // calls of the last 5 minutes
  prometheus::Gauge& unaccounted;
  prometheus::Gauge& outcomes_unrecorded;
  prometheus::Gauge& database_connected;     // 0 or 1
  prometheus::Gauge& partitions_ahead_days;  // days

  // Sources of postcall_certificate_expiry_timestamp_seconds, postcall_certificates_expired,
  // postcall_agents_failing and _active. The first is +Inf while no certificate will end, so that an alert
  // "ends within a week" does not fire then.
  CertificateExpiry certificates;
  AgentHealth agents;

 private:
  prometheus::Gauge& certificate_expiry_;
  prometheus::Gauge& certificates_expired_;
  prometheus::Gauge& agents_failing_;
  prometheus::Gauge& agents_active_;
  ProcessMetrics process_;
};

}  // namespace postcall::metrics
