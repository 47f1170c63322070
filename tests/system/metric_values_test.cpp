// The value of each metric, from the real binary, against what the log and the endpoints say, units included.
// The delays are so long that a factor of 1000 cannot hide.
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <thread>

#include "tests/support/certificates.h"
#include "tests/support/closed_ports.h"
#include "tests/support/system_names.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using Errors = std::map<std::string, double>;

const std::vector<std::string> kOutcomes = {"delivered",        "rejected",  "timeout",       "dns_error",
                                            "connect_error",    "tls_error", "network_error", "blocked",
                                            "invalid_settings", "skipped",   "not_sent",      "unknown"};

class MetricValues : public SystemTest {
 protected:
  static double Metric(const Service& service, const std::string& series) {
    return service.Metric(series).value_or(-1);
  }
  static bool WaitForMetric(const Service& service, const std::string& series, double expected) {
    const SteadyTime end = Steady::now() + 30s;
    while (Metric(service, series) != expected && Steady::now() < end) std::this_thread::sleep_for(20ms);
    return Metric(service, series) == expected;
  }
  // A sum, a count or another expression over the log.
  double OfLog(const std::string& expression, const std::string& condition = "true") {
    return std::stod(platform_.Value("SELECT coalesce((" + expression +
                                     ")::float8, 0) FROM webhook_deliveries WHERE " + condition));
  }

  // The metrics of a delivery are complete a moment after its row is.
  void WaitUntilCounted(const Service& service) {
    ASSERT_TRUE(platform_.WaitUntilSettled(30s)) << service.log();
    ASSERT_TRUE(WaitForMetric(service, "postcall_outcomes_unrecorded", 0));
    ASSERT_TRUE(WaitForMetric(service, "postcall_in_flight", 0));
    ASSERT_TRUE(WaitForMetric(service, "postcall_claim_batch_size_sum", OfLog("count(*)")));
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
};

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

TEST_F(MetricValues, OfTheGaugesAreWhatWaitsAndWhatIsInFlight) {
  endpoint_.Otherwise(Hang());
  platform_.AddAgent("locked", endpoint_.Url());
  platform_.CompleteCalls("locked", "locked-", 7);
  platform_.CompleteCalls("locked", "lost-", 3);
  platform_.Query("DELETE FROM webhook_outbox WHERE call_id LIKE 'lost-%'");
  platform_.Query(
      "UPDATE webhook_outbox SET due_at = now() - interval '100 seconds' WHERE call_id = 'locked-4'");
  pqxx::connection other(database_url_);
  std::optional<pqxx::work> holder(other);
  holder->exec("SELECT FROM webhook_outbox FOR UPDATE");
  const SteadyTime start = Steady::now();
  const Service service(Run({"--max-in-flight", "50", "--slow-share", "1"}));
  ASSERT_TRUE(WaitForMetric(service, "postcall_outbox_depth", 7));
  const double elapsed = Seconds(Steady::now() - start);
  EXPECT_GE(Metric(service, "postcall_outbox_oldest_age_seconds"), 100);
  EXPECT_LE(Metric(service, "postcall_outbox_oldest_age_seconds"), 101 + elapsed);
  EXPECT_TRUE(WaitForMetric(service, "postcall_unaccounted", 3));
  EXPECT_TRUE(WaitForMetric(service, "postcall_enqueued_recent", 10));
  EXPECT_EQ(Metric(service, "postcall_partitions_ahead_days"), 7);
  EXPECT_EQ(Metric(service, "postcall_database_connected"), 1);
  EXPECT_EQ(Metric(service, "postcall_in_flight_limit"), 50);
  EXPECT_EQ(Metric(service, "postcall_in_flight"), 0);

  // After a second in flight an agent is slow. Those of another that have just started are not.
  platform_.AddAgent("slow", endpoint_.Url());
  platform_.CompleteCalls("slow", "slow-", 3);
  ASSERT_TRUE(WaitForMetric(service, "postcall_slow_in_flight", 3));
  EXPECT_EQ(Metric(service, "postcall_in_flight"), 3);
  const auto in_one_scrape = [&](const std::vector<std::string>& samples) {
    const std::string metrics = service.Get("/metrics").body;
    return std::ranges::all_of(samples, [&](const std::string& sample) {
      return metrics.find("\n" + sample + "\n") != std::string::npos;
    });
  };
  bool apart = false;
  for (int slow = 3; slow <= 9 && !apart; slow += 2) {  // again on a machine that was stalled for a second
    const std::string agent = "new-" + std::to_string(slow);
    platform_.AddAgent(agent, endpoint_.Url());
    platform_.CompleteCalls(agent, agent + "-", 2);
    while (!apart && Metric(service, "postcall_slow_in_flight") == slow) {
      apart = in_one_scrape({"postcall_in_flight " + std::to_string(slow + 2),
                             "postcall_slow_in_flight " + std::to_string(slow)});
    }
  }
  EXPECT_TRUE(apart);

  holder.reset();
  EXPECT_TRUE(WaitForMetric(service, "postcall_outbox_depth", 0)) << "it is sampled again";
  EXPECT_TRUE(WaitForMetric(service, "postcall_outbox_oldest_age_seconds", 0));
}

class MetricValuesOfDatabaseErrors : public MetricValues {
 protected:
  MetricValuesOfDatabaseErrors() {
    platform_.AddAgent("agent", endpoint_.Url());
    platform_.Query("CREATE SEQUENCE tries");  // it counts what is rolled back, too
    platform_.Query(R"(CREATE FUNCTION fail_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                         IF nextval('tries') <= TG_ARGV[0]::int THEN
                           RAISE EXCEPTION 'made by the test' USING ERRCODE = 'serialization_failure';
                         END IF;
                         RETURN coalesce(NEW, OLD);
                       END $$)");
  }

  // The first `count` statements of that kind fail, such as "UPDATE ON webhook_deliveries".
  void FailFirst(int count, const std::string& statement) {
    Platform(database_url_)
        .Query("CREATE TRIGGER fail_first BEFORE " + statement +
               " FOR EACH ROW EXECUTE FUNCTION fail_first(" + std::to_string(count) + ")");
  }

  // Waits until the failures have happened. All other operations have none.
  static void ExpectErrors(const Service& service, const Errors& expected) {
    for (const std::string operation :
         {"claim", "record", "requeue", "confirm", "resolve", "heartbeat", "sweep", "partitions", "sample"}) {
      const auto found = expected.find(operation);
      const double count = found == expected.end() ? 0 : found->second;
      EXPECT_EQ(Metric(service, "postcall_database_errors_total{operation=\"" + operation + "\"}"), count)
          << operation;
    }
  }

  const std::string kClaim = "INSERT INTO webhook_deliveries";
};

TEST_F(MetricValuesOfDatabaseErrors, CountEachClaimThatFailed) {
  FailFirst(2, "DELETE ON webhook_outbox");
  platform_.CompleteCalls("agent", "call-", 1);
  const Service service(Run());
  ASSERT_NO_FATAL_FAILURE(WaitUntilCounted(service));
  ExpectErrors(service, {{"claim", 2}});
}

TEST_F(MetricValuesOfDatabaseErrors, CountEachRecordThatFailed) {
  FailFirst(3, "UPDATE ON webhook_deliveries");
  platform_.CompleteCalls("agent", "call-", 1);
  const Service service(Run());
  ASSERT_NO_FATAL_FAILURE(WaitUntilCounted(service));
  ExpectErrors(service, {{"record", 3}});
  EXPECT_EQ(Metric(service, "postcall_record_batch_size_sum"), 1) << "what failed is no batch";
}

TEST_F(MetricValuesOfDatabaseErrors, CountEachRequeueThatFailed) {
  FailFirst(2, "DELETE ON webhook_deliveries");
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  platform_.CompleteCalls("agent", "before-", 1);
  // The connections for outcomes and for housekeeping are there.
  ASSERT_NO_FATAL_FAILURE(WaitUntilCounted(service));
  ASSERT_TRUE(WaitForMetric(service, "postcall_partitions_ahead_days", 7));
  endpoint_.CloseConnections();
  service.Limit(RLIMIT_NOFILE, 3);  // no other descriptor is to be had
  platform_.CompleteCalls("agent", "call-", 1);
  ASSERT_TRUE(service.WaitForLog("requeueing a delivery")) << service.log();
  ASSERT_TRUE(platform_.WaitForValue("SELECT last_value >= 3 FROM tries", "t"));
  service.Limit(RLIMIT_NOFILE, 1024);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  ExpectErrors(service, {{"requeue", 2}});
}

TEST_F(MetricValuesOfDatabaseErrors, CountEachHeartbeatThatFailed) {
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  FailFirst(2, "UPDATE ON webhook_dispatchers");
  ASSERT_TRUE(platform_.WaitForValue("SELECT last_value >= 3 FROM tries", "t"));
  ExpectErrors(service, {{"heartbeat", 2}});
}

TEST_F(MetricValuesOfDatabaseErrors, CountEachConfirmationThatFailed) {
  TcpProxy proxy(SharedPostgres().port());
  const Service service(Run({"--database-url", Through(proxy, database_url_)}));
  ASSERT_TRUE(service.WaitUntilReady());
  proxy.FailNextCommit(CommitFault::kPass, kClaim, [&] {
    service.Freeze();
    FailFirst(1, "UPDATE ON webhook_dispatchers");
  });
  platform_.CompleteCalls("agent", "call-", 1);
  ASSERT_TRUE(proxy.WaitForFaults(1));
  std::this_thread::sleep_for(1500ms);  // for longer than a claim vouches for its rows
  service.Signal(SIGCONT);
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 1}}));
  ExpectErrors(service, {{"confirm", 1}});
}

TEST_F(MetricValuesOfDatabaseErrors, CountAClaimInDoubtAndEachTryToResolveItThatFailed) {
  TcpProxy proxy(SharedPostgres().port());
  const Service service(Run({"--database-url", Through(proxy, database_url_)}));
  ASSERT_TRUE(service.WaitUntilReady());
  proxy.FailNextCommit(CommitFault::kCutBeforeAnswer, kClaim,
                       [&] { FailFirst(2, "UPDATE ON webhook_dispatchers"); });
  platform_.CompleteCalls("agent", "call-", 1);
  ASSERT_TRUE(proxy.WaitForFaults(1));
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 1}}));
  ExpectErrors(service, {{"claim", 1}, {"resolve", 2}});
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
