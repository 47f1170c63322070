// The value of each metric, from the real binary, against what the log and the endpoints say, units included.
// The delays are so long that a factor of 1000 cannot hide.
#include <csignal>
#include <thread>

#include "tests/support/certificates.h"
#include "tests/support/closed_ports.h"
#include "tests/support/system_names.h"
#include "tests/system/metric_values.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kOutcomes = {"delivered",        "rejected",  "timeout",       "dns_error",
                                            "connect_error",    "tls_error", "network_error", "blocked",
                                            "invalid_settings", "skipped",   "not_sent",      "unknown"};

class MetricValuesOfDeliveries : public MetricValues {
 protected:
  MetricValuesOfDeliveries() {
    endpoint_.On("/ok", Respond(200));
    endpoint_.On("/slow", Wait(300ms) + Respond(201));
    endpoint_.On("/moved", RedirectTo("http://127.0.0.1:1/"));
    endpoint_.On("/missing", Respond(404));
    endpoint_.On("/failing", Respond(503));
    endpoint_.On("/closed", Close());
    tls_.OnConnection({.at_accept = Wait(400ms)});
    NameAnswer slow = NameAnswer::Addresses({"127.0.0.1"});
    slow.delay = 400ms;
    names_.server().Script("slow.example", slow);

    for (const std::string path : {"ok", "slow", "moved", "missing", "failing", "closed"}) {
      Add(path, endpoint_.Url("/" + path), path == "ok" || path == "missing" ? 3 : 2);
    }
    Add("named", named_.Url("/", "slow.example"), 2);
    Add("tls", tls_.Url(), 2);
    Add("self-signed", self_signed_.Url(), 1);
    Add("no-such-name", "http://missing.example/", 1);
    Add("dead", "http://127.0.0.1:" + std::to_string(dead_.port()) + "/", 1);
    Add("late", "http://127.0.0.1:" + std::to_string(late_.port()) + "/", 1);
    Add("private", "http://10.0.0.1/", 2);
    Add("no-url", "nonsense", 1);
    Add("removed", endpoint_.Url("/ok"), 1);
    platform_.Query("UPDATE agents SET settings = '{}' WHERE id = 'removed'");
    platform_.Query(
        "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at)"
        " VALUES ('ok-1', 'ok', 'resend', now(), now()), ('ok-2', 'ok', 'resend', now(), now()),"
        " ('missing-1', 'missing', 'test', now(), now())");
    platform_.Query("UPDATE webhook_outbox SET due_at = due_at - interval '20 seconds'");
    SlowDown("INSERT");
    SlowDown("UPDATE");
  }

  // Each time of the log is a `real`, so the sums agree to a part in ten thousand.
  void ExpectSum(const Service& service, const std::string& name, const std::string& labels,
                 const std::string& milliseconds, const std::string& condition = "true") {
    const std::string braces = labels.empty() ? "" : "{" + labels + "}";
    EXPECT_EQ(Metric(service, name + "_count" + braces), OfLog("count(" + milliseconds + ")", condition))
        << name << braces;
    const double seconds = OfLog("sum(" + milliseconds + "::float8) / 1000", condition);
    EXPECT_NEAR(Metric(service, name + "_sum" + braces), seconds, 1e-4 * seconds) << name << braces;
  }

  // A statement of that kind takes 300 ms more, as part of its transaction.
  void SlowDown(const std::string& statement) {
    platform_.Query(
        "CREATE OR REPLACE FUNCTION take_300_ms() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$");
    platform_.Query("CREATE TRIGGER take_300_ms_" + statement + " AFTER " + statement +
                    " ON webhook_deliveries EXECUTE FUNCTION take_300_ms()");
  }

  void Add(const std::string& agent, const std::string& url, int calls) {
    platform_.AddAgent(agent, url);
    platform_.CompleteCalls(agent, agent + "-", calls);
  }

  ServiceOptions Options() const {
    // One at a time per agent, so that connections are used again.
    ServiceOptions options = Run({"--max-in-flight-per-agent", "1", "--timeout-ms", "4000", "--ca-file",
                                  authority_.ca_file().string()});
    options.resolv_conf = names_.resolv_conf();
    return options;
  }

  const CertificateAuthority authority_;
  SystemNames names_;
  HostileEndpoint named_;
  HostileEndpoint tls_{{.tls = TlsOptions{authority_.Issue({"127.0.0.1"})}}};
  HostileEndpoint self_signed_{{.tls = TlsOptions{CertificateAuthority::SelfSigned({"127.0.0.1"})}}};
  const RefusingPort dead_;
  FullBacklog late_;
};

TEST_F(MetricValuesOfDeliveries, AreThoseOfTheLogAndTheEndpoints) {
  const SteadyTime start = Steady::now();
  const Service service(Options());
  ASSERT_TRUE(late_.WaitForHanging(1));
  late_.Empty();
  ASSERT_NO_FATAL_FAILURE(WaitUntilCounted(service));
  const double elapsed = Seconds(Steady::now() - start);
  // What the endpoints made slow is slow in the log. (A connection may be noticed some time after it was
  // made.)
  EXPECT_GE(OfLog("min(first_byte_ms)", "agent_id = 'slow'"), 299);
  EXPECT_GE(OfLog("max(tls_ms)", "agent_id = 'tls'"), 200);
  EXPECT_GE(OfLog("max(lookup_ms)", "agent_id = 'named'"), 399);
  EXPECT_GE(OfLog("max(connect_ms)", "agent_id = 'late'"), 500);
  EXPECT_EQ(OfLog("count(DISTINCT outcome)"), 10) << "all but not_sent and unknown";

  for (const std::string& outcome : kOutcomes) {
    for (const std::string cause : {"completion", "resend", "test"}) {
      EXPECT_EQ(
          Metric(service, "postcall_deliveries_total{cause=\"" + cause + "\",outcome=\"" + outcome + "\"}"),
          OfLog("count(*)", "outcome = '" + outcome + "' AND cause = '" + cause + "'"))
          << outcome << " " << cause;
    }
    ExpectSum(service, "postcall_delivery_duration_seconds", "outcome=\"" + outcome + "\"", "total_ms",
              "outcome = '" + outcome + "'");
  }
  for (const std::string phase : {"lookup", "connect", "tls", "first_byte"}) {
    ExpectSum(service, "postcall_phase_duration_seconds", "phase=\"" + phase + "\"", phase + "_ms");
  }
  EXPECT_GE(Metric(service, R"(postcall_phase_duration_seconds_bucket{phase="connect",le="10"})"), 1);

  std::map<int, double> answers;  // by class of status
  double opened = 1;              // the late one, which has no ledger
  double used_again = 0;
  double answering = 0;  // seconds
  for (const HostileEndpoint* endpoint : {&endpoint_, &named_, &tls_, &self_signed_}) {
    for (const ConnectionEntry& connection : endpoint->ledger().Connections())
      opened += connection.requests > 0;
    for (const RequestEntry& request : endpoint->ledger().Requests()) {
      used_again += request.on_connection > 0;
      if (!request.answer_status || !request.answer_ended_at) continue;
      ++answers[*request.answer_status / 100];
      answering += Seconds(*request.answer_ended_at - *request.complete_at);
    }
  }
  for (int status = 1; status <= 5; ++status) {
    const std::string series = "postcall_responses_total{code=\"" + std::to_string(status) + "xx\"}";
    EXPECT_EQ(Metric(service, series), answers[status]);
    EXPECT_EQ(Metric(service, series), OfLog("count(*)", "http_status / 100 = " + std::to_string(status)));
  }
  EXPECT_GT(answers[2] + answers[3] + answers[4] + answers[5], answers[2]);
  EXPECT_EQ(Metric(service, R"(postcall_connections_total{reused="false"})"), opened);
  EXPECT_EQ(Metric(service, R"(postcall_connections_total{reused="true"})"), used_again);
  EXPECT_EQ(opened, OfLog("count(*)", "request_bytes > 0 AND NOT connection_reused"));
  EXPECT_EQ(used_again, OfLog("count(*)", "request_bytes > 0 AND connection_reused"));
  EXPECT_GT(used_again, 0);
  const double first_bytes = Metric(service, R"(postcall_phase_duration_seconds_sum{phase="first_byte"})");
  EXPECT_GT(first_bytes, answering - 0.1);
  EXPECT_LT(first_bytes, answering + elapsed);

  // From due to the start of the POST. The two clocks of a row are read at moments that are not quite the
  // same.
  const double posts = OfLog("count(total_ms)");
  const double waited = OfLog("sum(extract(epoch FROM finished_at - due_at)::float8 - total_ms / 1000)",
                              "total_ms IS NOT NULL");
  EXPECT_GT(waited, 20 * posts);
  EXPECT_EQ(Metric(service, "postcall_dispatch_latency_seconds_count"), posts);
  EXPECT_NEAR(Metric(service, "postcall_dispatch_latency_seconds_sum"), waited, 0.05 * waited);
  EXPECT_EQ(Metric(service, R"(postcall_dispatch_latency_seconds_bucket{le="10"})"), 0);
  EXPECT_EQ(Metric(service, R"(postcall_dispatch_latency_seconds_bucket{le="300"})"), posts);

  // Each claim has an id of its own, and each record is a transaction.
  const double claims = OfLog("count(DISTINCT claim_id)");
  EXPECT_EQ(Metric(service, "postcall_claim_batch_size_count"), claims);
  EXPECT_EQ(Metric(service, "postcall_claim_batch_size_sum"), OfLog("count(*)"));
  EXPECT_EQ(Metric(service, "postcall_claim_duration_seconds_count"), claims);
  EXPECT_GE(Metric(service, "postcall_claim_duration_seconds_sum"), 0.3 * claims);
  EXPECT_LE(Metric(service, "postcall_claim_duration_seconds_sum"), elapsed);
  const double records = OfLog("count(DISTINCT xmin::text)", "total_ms IS NOT NULL");
  EXPECT_EQ(Metric(service, "postcall_record_batch_size_count"), records);
  EXPECT_EQ(Metric(service, "postcall_record_batch_size_sum"), posts);
  EXPECT_EQ(Metric(service, "postcall_record_duration_seconds_count"), records);
  EXPECT_GE(Metric(service, "postcall_record_duration_seconds_sum"), 0.3 * records);
  EXPECT_LE(Metric(service, "postcall_record_duration_seconds_sum"), elapsed);

  EXPECT_EQ(Metric(service, "postcall_agents_active"), OfLog("count(DISTINCT agent_id)"));
  EXPECT_EQ(Metric(service, "postcall_agents_failing"),
            OfLog("count(DISTINCT agent_id)",
                  "agent_id NOT IN (SELECT agent_id FROM webhook_deliveries WHERE outcome = 'delivered')"));
  EXPECT_EQ(Metric(service, "postcall_certificate_expiry_timestamp_seconds"),
            OfLog("min(extract(epoch FROM certificate_ends_at))"));

  // On a connection that was used before, libcurl wants to send a request again that got no answer.
  EXPECT_EQ(Metric(service, "postcall_resend_guard_total"),
            OfLog("count(*)", "agent_id = 'closed' AND connection_reused"));

  // What did not happen is not counted.
  EXPECT_EQ(Metric(service, "postcall_unknown_resolved_total"), 0);
  for (const std::string kind : {"descriptors", "memory", "network", "ports"}) {
    EXPECT_EQ(Metric(service, "postcall_local_faults_total{kind=\"" + kind + "\"}"), 0) << kind;
  }
}

TEST_F(MetricValues, OfTheLoopLagAreHowLateTheTimersOfTheNetworkThreadsFire) {
  const Service service(Run({"--network-threads", "2"}));
  ASSERT_TRUE(service.WaitUntilReady());
  const SteadyTime start = Steady::now();
  const auto count = [&] { return Metric(service, "postcall_loop_lag_seconds_count"); };
  const double before = count();
  while (count() < before + 24) ASSERT_LT(Steady::now() - start, 30s) << "the timers are not set again";
  // Two threads, every 250 ms.
  EXPECT_GT(Seconds(Steady::now() - start), 2.5);

  const SteadyTime frozen = Steady::now();
  const double lag_before = Metric(service, "postcall_loop_lag_seconds_sum");
  service.Freeze();
  const double at_least = 2 * (2.0 - 0.25);  // each timer was due 250 ms later at most
  std::this_thread::sleep_for(2s);
  service.Signal(SIGCONT);
  const double after = count();
  while (count() < after + 4) ASSERT_LT(Steady::now() - frozen, 30s);
  const double lag = Metric(service, "postcall_loop_lag_seconds_sum") - lag_before;
  EXPECT_GE(lag, at_least);
  EXPECT_LE(lag, 2 * Seconds(Steady::now() - frozen));
}

TEST_F(MetricValues, OfTheBuildAreItsVersion) {
  const Service service(Run());
  const std::string metrics = service.Get("/metrics").body;
  EXPECT_THAT(metrics,
              ::testing::ContainsRegex("postcall_build_info\\{libcurl=\"[78]\\.[0-9.]+\",libpq=\"[0-9.]+\","
                                       "version=\"" POSTCALL_VERSION "\"\\} 1\n"));
}

}  // namespace
}  // namespace postcall::test
