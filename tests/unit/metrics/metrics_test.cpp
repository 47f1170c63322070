#include "dispatcher/metrics/metrics.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <set>
#include <thread>

#include "tests/unit/metrics/exposition.h"

namespace postcall::metrics {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;

struct Promised {
  std::string type;
  std::map<std::string, std::set<std::string>> labels;  // each label with all its values
};

const std::set<std::string> kOutcomeWords = {"delivered",        "rejected",  "timeout",       "dns_error",
                                             "connect_error",    "tls_error", "network_error", "blocked",
                                             "invalid_settings", "skipped",   "not_sent",      "unknown"};

// The metrics of CONTRACT §8.
const std::map<std::string, Promised> kPromised = {
    {"postcall_deliveries_total",
     {"counter", {{"outcome", kOutcomeWords}, {"cause", {"completion", "resend", "test"}}}}},
    {"postcall_unknown_resolved_total", {"counter", {}}},
    {"postcall_responses_total", {"counter", {{"code", {"1xx", "2xx", "3xx", "4xx", "5xx"}}}}},
    {"postcall_delivery_duration_seconds", {"histogram", {{"outcome", kOutcomeWords}}}},
    {"postcall_phase_duration_seconds",
     {"histogram", {{"phase", {"lookup", "connect", "tls", "first_byte"}}}}},
    {"postcall_dispatch_latency_seconds", {"histogram", {}}},
    {"postcall_in_flight", {"gauge", {}}},
    {"postcall_in_flight_limit", {"gauge", {}}},
    {"postcall_slow_in_flight", {"gauge", {}}},
    {"postcall_outbox_depth", {"gauge", {}}},
    {"postcall_outbox_oldest_age_seconds", {"gauge", {}}},
    {"postcall_enqueued_recent", {"gauge", {}}},
    {"postcall_declined_recent",
     {"gauge", {{"reason", {"no_url", "agent_id_too_long", "switched_off", "completed_unseen"}}}}},
    {"postcall_unaccounted", {"gauge", {}}},
    {"postcall_outcomes_unrecorded", {"gauge", {}}},
    {"postcall_claim_duration_seconds", {"histogram", {}}},
    {"postcall_record_duration_seconds", {"histogram", {}}},
    {"postcall_claim_batch_size", {"histogram", {}}},
    {"postcall_record_batch_size", {"histogram", {}}},
    {"postcall_database_errors_total",
     {"counter",
      {{"operation",
        {"claim", "record", "requeue", "confirm", "resolve", "heartbeat", "sweep", "partitions",
         "sample"}}}}},
    {"postcall_database_connected", {"gauge", {}}},
    {"postcall_partitions_ahead_days", {"gauge", {}}},
    {"postcall_connections_total", {"counter", {{"reused", {"true", "false"}}}}},
    {"postcall_certificate_expiry_timestamp_seconds", {"gauge", {}}},
    {"postcall_certificates_expired", {"gauge", {}}},
    {"postcall_agents_failing", {"gauge", {}}},
    {"postcall_agents_active", {"gauge", {}}},
    {"postcall_local_faults_total", {"counter", {{"kind", {"descriptors", "memory", "network", "ports"}}}}},
    {"postcall_resend_guard_total", {"counter", {}}},
    {"postcall_loop_lag_seconds", {"histogram", {}}},
    {"postcall_build_info",
     {"gauge", {{"version", {"1.2.3"}}, {"libcurl", {"7.88.1"}}, {"libpq", {"15.2"}}}}},
};

class MetricsTest : public ::testing::Test {
 protected:
  Exposition Exposed(SteadyTime now = Steady::now()) { return ParseExposition(metrics_.Expose(now)); }

  Metrics metrics_{{.version = "1.2.3", .libcurl = "7.88.1", .libpq = "15.2"}};
};

TEST_F(MetricsTest, HaveTheNamesTypesAndLabelsOfTheContractAndNoOthers) {
  const Exposition exposition = Exposed();
  for (const auto& [name, promised] : kPromised) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(exposition.contains(name));
    const ExposedFamily& family = exposition.at(name);
    EXPECT_EQ(family.type, promised.type);
    std::map<std::string, std::set<std::string>> labels;
    for (const Sample& sample : family.samples) {
      for (const auto& [label, value] : sample.labels) {
        if (label != "le") labels[label].insert(value);
      }
    }
    EXPECT_EQ(labels, promised.labels);
  }
  for (const auto& [name, family] : exposition) {
    EXPECT_TRUE(kPromised.contains(name) || name.starts_with("process_")) << name;
  }
}

TEST_F(MetricsTest, CarryNoAgentUrlOrCallEvenAfterTheyWereNoted) {
  metrics_.agents.Note(AgentId("agent-x"), false, Steady::now());
  metrics_.certificates.Note("https://secret.example", DatabaseTime(seconds(2'000'000'000)), Steady::now());
  const std::string text = metrics_.Expose();
  EXPECT_EQ(text.find("agent-x"), std::string::npos);
  EXPECT_EQ(text.find("secret.example"), std::string::npos);
  for (const auto& [name, family] : ParseExposition(text)) {
    for (const Sample& sample : family.samples) {
      for (const auto& [label, value] : sample.labels) {
        EXPECT_THAT((std::set<std::string>{"outcome", "cause", "code", "phase", "operation", "reused", "kind",
                                           "reason", "version", "libcurl", "libpq", "le"}),
                    Contains(label))
            << name;
      }
    }
  }
}

TEST_F(MetricsTest, HaveEverySeriesAtZeroFromTheStart) {
  const Exposition exposition = Exposed();
  EXPECT_EQ(exposition.at("postcall_deliveries_total").samples.size(), 12u * 3u);
  for (const auto& [name, promised] : kPromised) {
    if (name == "postcall_build_info" || name == "postcall_certificate_expiry_timestamp_seconds") continue;
    EXPECT_FALSE(exposition.at(name).samples.empty()) << name;
    for (const Sample& sample : exposition.at(name).samples) EXPECT_EQ(sample.value, 0) << sample.name;
  }
}

TEST_F(MetricsTest, FollowTheNamingRulesOfPrometheus) {
  for (const auto& [name, family] : Exposed()) {
    SCOPED_TRACE(name);
    EXPECT_EQ(name.ends_with("_total"), family.type == "counter");
    EXPECT_FALSE(name.ends_with("_ms"));
    EXPECT_FALSE(family.help.empty());
    EXPECT_EQ(family.help.back(), '.');
    for (const char* suffix : {"_bucket", "_sum", "_count", "_info_total"})
      EXPECT_FALSE(name.ends_with(suffix));
  }
}

TEST_F(MetricsTest, DeliveryDurationHasNarrowBucketsAroundTheLimitOfTenSeconds) {
  const Exposition exposition = Exposed();
  std::vector<double> bounds;
  for (const Sample& sample : exposition.at("postcall_delivery_duration_seconds").samples) {
    if (sample.name.ends_with("_bucket") && sample.labels.at("outcome") == "timeout") {
      bounds.push_back(std::stod(sample.labels.at("le")));
    }
  }
  ASSERT_GE(bounds.size(), 7u);
  EXPECT_TRUE(std::ranges::is_sorted(bounds));
  EXPECT_EQ(bounds.front(), .01);
  EXPECT_EQ(bounds[bounds.size() - 2], 15);
  EXPECT_EQ(bounds.back(), std::numeric_limits<double>::infinity());
  for (const double bound : {9.75, 10., 10.1, 10.25}) EXPECT_THAT(bounds, Contains(bound));
}

TEST_F(MetricsTest, CountUnderTheRightLabels) {
  metrics_.deliveries(Outcome::kTimeout, Cause::kResend).Increment();
  metrics_.delivery_duration(Outcome::kUnknown).Observe(10.05);
  metrics_.database_errors(Operation::kRequeue).Increment();
  metrics_.local_faults(LocalFault::kPorts).Increment();
  metrics_.tls.Observe(0.2);
  metrics_.connections_reused.Increment();
  metrics_.in_flight.Set(17);
  const Exposition exposition = Exposed();
  EXPECT_EQ(ValueOf(exposition, "postcall_deliveries_total", {{"outcome", "timeout"}, {"cause", "resend"}}),
            1);
  EXPECT_EQ(ValueOf(exposition, "postcall_deliveries_total", {{"outcome", "timeout"}, {"cause", "test"}}), 0);
  EXPECT_EQ(ValueOf(exposition, "postcall_delivery_duration_seconds_bucket",
                    {{"outcome", "unknown"}, {"le", "10"}}),
            0);
  EXPECT_EQ(ValueOf(exposition, "postcall_delivery_duration_seconds_count", {{"outcome", "unknown"}}), 1);
  EXPECT_EQ(ValueOf(exposition, "postcall_database_errors_total", {{"operation", "requeue"}}), 1);
  EXPECT_EQ(ValueOf(exposition, "postcall_local_faults_total", {{"kind", "ports"}}), 1);
  EXPECT_EQ(ValueOf(exposition, "postcall_phase_duration_seconds_sum", {{"phase", "tls"}}), 0.2);
  EXPECT_EQ(ValueOf(exposition, "postcall_connections_total", {{"reused", "true"}}), 1);
  EXPECT_EQ(ValueOf(exposition, "postcall_connections_total", {{"reused", "false"}}), 0);
  EXPECT_EQ(ValueOf(exposition, "postcall_in_flight"), 17);
}

TEST_F(MetricsTest, EveryOutcomeOperationAndKindHasASeriesOfItsOwn) {
  for (const Outcome outcome : kFinalOutcomes) {
    for (const Cause cause : kCauses) metrics_.deliveries(outcome, cause).Increment();
    metrics_.delivery_duration(outcome).Observe(1);
  }
  for (const Operation operation : kOperations) metrics_.database_errors(operation).Increment();
  for (const LocalFault kind : kLocalFaults) metrics_.local_faults(kind).Increment();
  const Exposition exposition = Exposed();
  for (const char* name :
       {"postcall_deliveries_total", "postcall_database_errors_total", "postcall_local_faults_total"}) {
    for (const Sample& sample : exposition.at(name).samples) EXPECT_EQ(sample.value, 1) << name;
  }
  for (const Sample& sample : exposition.at("postcall_delivery_duration_seconds").samples) {
    if (sample.name.ends_with("_count")) {
      EXPECT_EQ(sample.value, 1);
    }
  }
}

TEST_F(MetricsTest, DeliveryInFlightHasNoSeries) {
  EXPECT_THROW(metrics_.deliveries(Outcome::kInFlight, Cause::kCompletion), std::invalid_argument);
  EXPECT_THROW(metrics_.delivery_duration(Outcome::kInFlight), std::invalid_argument);
}

TEST_F(MetricsTest, ResponsesCountByClassOfStatus) {
  for (const int status : {101, 200, 204, 299, 301, 404, 499, 500, 599, 600, 999, 7}) {
    metrics_.responses(status).Increment();
  }
  const Exposition exposition = Exposed();
  EXPECT_EQ(ValueOf(exposition, "postcall_responses_total", {{"code", "1xx"}}), 2);
  EXPECT_EQ(ValueOf(exposition, "postcall_responses_total", {{"code", "2xx"}}), 3);
  EXPECT_EQ(ValueOf(exposition, "postcall_responses_total", {{"code", "3xx"}}), 1);
  EXPECT_EQ(ValueOf(exposition, "postcall_responses_total", {{"code", "4xx"}}), 2);
  EXPECT_EQ(ValueOf(exposition, "postcall_responses_total", {{"code", "5xx"}}), 4);
}

TEST_F(MetricsTest, BuildInfoIsOneAndNamesTheBuild) {
  EXPECT_EQ(ValueOf(Exposed(), "postcall_build_info",
                    {{"version", "1.2.3"}, {"libcurl", "7.88.1"}, {"libpq", "15.2"}}),
            1);
}

TEST_F(MetricsTest, ExpiryIsInfiniteUntilACertificateWasSeenAndThenTheNextEnd) {
  const SteadyTime now = Steady::now();
  const DatabaseTime end(seconds(2'000'000'000));
  const auto exposed = [&](SteadyTime moment, DatabaseTime clock) {
    const Exposition exposition = ParseExposition(metrics_.Expose(moment, clock));
    return std::pair(ValueOf(exposition, "postcall_certificate_expiry_timestamp_seconds"),
                     ValueOf(exposition, "postcall_certificates_expired"));
  };
  constexpr double kNone = std::numeric_limits<double>::infinity();
  EXPECT_EQ(exposed(now, end), std::pair(kNone, 0.0));
  metrics_.certificates.Note("https://a", end, now);
  metrics_.certificates.Note("https://b", end + hours(1), now);
  EXPECT_EQ(exposed(now, end - hours(1)), std::pair(2'000'000'000.0, 0.0));
  EXPECT_EQ(exposed(now, end), std::pair(2'000'003'600.0, 1.0));
  EXPECT_EQ(exposed(now, end + hours(1)), std::pair(kNone, 2.0));
  EXPECT_EQ(exposed(now + hours(25), end), std::pair(kNone, 0.0));
}

TEST_F(MetricsTest, AgentsAreCountedWhenExposed) {
  const SteadyTime now = Steady::now();
  metrics_.agents.Note(AgentId("a"), true, now);
  metrics_.agents.Note(AgentId("b"), false, now);
  const Exposition exposition = Exposed(now + minutes(9));
  EXPECT_EQ(ValueOf(exposition, "postcall_agents_active"), 2);
  EXPECT_EQ(ValueOf(exposition, "postcall_agents_failing"), 1);
}

TEST_F(MetricsTest, CanBeExposedWhileOtherThreadsCount) {
  std::atomic<bool> done = false;
  std::thread worker([&] {
    for (int i = 0; i < 20'000; ++i) {
      metrics_.deliveries(Outcome::kDelivered, Cause::kCompletion).Increment();
      metrics_.delivery_duration(Outcome::kDelivered).Observe(i % 11);
      metrics_.agents.Note(AgentId(std::to_string(i % 100)), true, Steady::now());
      metrics_.certificates.Note(std::to_string(i % 100), DatabaseTime(seconds(i)), Steady::now());
    }
    done = true;
  });
  do {
    const Exposition exposition = Exposed();
    double last = 0;
    for (const Sample& sample : exposition.at("postcall_delivery_duration_seconds").samples) {
      if (sample.labels.at("outcome") != "delivered" || !sample.name.ends_with("_bucket")) continue;
      EXPECT_GE(sample.value, last);
      last = sample.value;
    }
    EXPECT_EQ(ValueOf(exposition, "postcall_delivery_duration_seconds_count", {{"outcome", "delivered"}}),
              last);
  } while (!done);
  worker.join();
  EXPECT_EQ(
      ValueOf(Exposed(), "postcall_deliveries_total", {{"outcome", "delivered"}, {"cause", "completion"}}),
      20'000);
}

}  // namespace
}  // namespace postcall::metrics
