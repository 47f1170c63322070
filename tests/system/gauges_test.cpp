// The gauges of the real binary: what waits, what is in flight, certificates by host, and calls that are not
// enqueued.
#include <algorithm>
#include <optional>

#include "tests/support/certificates.h"
#include "tests/system/metric_values.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class Gauges : public MetricValues {
 protected:
  void Deliver(const Service& service, const std::string& agent, const std::string& prefix) {
    platform_.CompleteCalls(agent, prefix, 1);
    ASSERT_TRUE(platform_.WaitUntilSettled()) << service.log();
  }

  static constexpr const char* kExpiry = "postcall_certificate_expiry_timestamp_seconds";
  static constexpr const char* kExpired = "postcall_certificates_expired";
};

TEST_F(Gauges, ShowWhatWaitsAndWhatIsInFlight) {
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
  ASSERT_TRUE(service.WaitForMetric("postcall_outbox_depth", 7));
  const double elapsed = Seconds(Steady::now() - start);
  EXPECT_GE(Metric(service, "postcall_outbox_oldest_age_seconds"), 100);
  EXPECT_LE(Metric(service, "postcall_outbox_oldest_age_seconds"), 101 + elapsed);
  EXPECT_TRUE(service.WaitForMetric("postcall_unaccounted", 3));
  EXPECT_TRUE(service.WaitForMetric("postcall_enqueued_recent", 10));
  EXPECT_EQ(Metric(service, "postcall_partitions_ahead_days"), 7);
  EXPECT_EQ(Metric(service, "postcall_database_connected"), 1);
  EXPECT_EQ(Metric(service, "postcall_in_flight_limit"), 50);
  EXPECT_EQ(Metric(service, "postcall_in_flight"), 0);

  // After a second in flight an agent is slow. Those of another that have just started are not.
  platform_.AddAgent("slow", endpoint_.Url());
  platform_.CompleteCalls("slow", "slow-", 3);
  ASSERT_TRUE(service.WaitForMetric("postcall_slow_in_flight", 3));
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
  EXPECT_TRUE(service.WaitForMetric("postcall_outbox_depth", 0)) << "it is sampled again";
  EXPECT_TRUE(service.WaitForMetric("postcall_outbox_oldest_age_seconds", 0));
}

TEST_F(Gauges, OfCertificatesCountAnEndedOneUntilItIsRenewedAndShowTheNextEnd) {
  const CertificateAuthority authority;
  const Certificate ended = authority.Issue({"127.0.0.1"}, Validity::Expired());
  const Certificate good = authority.Issue({"127.0.0.1"});
  HostileEndpoint other({.tls = TlsOptions{good}});
  auto customer = std::make_unique<HostileEndpoint>(EndpointOptions{.tls = TlsOptions{ended}});
  const std::uint16_t port = customer->port();
  platform_.AddAgent("other", other.Url("/hook"));
  platform_.AddAgent("customer", customer->Url("/hook"));
  const Service service(Run({"--ca-file", authority.ca_file().string()}));
  ASSERT_TRUE(service.WaitUntilReady());
  EXPECT_EQ(Metric(service, kExpired), 0);

  Deliver(service, "customer", "ended-");
  Deliver(service, "other", "other-");
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"delivered", 1}, {"tls_error", 1}}));
  EXPECT_EQ(Metric(service, kExpired), 1);
  EXPECT_EQ(Metric(service, kExpiry), static_cast<double>(good.ends_at.time_since_epoch().count()));
  const std::string hosts =
      "SELECT string_agg(host || ' ' || agent_id || ' ' || (certificate_ends_at > now()), ', ')"
      "  FROM webhook_certificates";
  const std::string customer_host = "https://127.0.0.1:" + std::to_string(port) + " customer ";
  const std::string other_host = "https://127.0.0.1:" + std::to_string(other.port()) + " other true";
  EXPECT_EQ(platform_.Value(hosts), customer_host + "false, " + other_host);

  customer.reset();
  const Certificate renewed =
      authority.Issue({"127.0.0.1"}, {.begins_at = good.ends_at - 31 * 24h, .ends_at = good.ends_at + 24h});
  customer = std::make_unique<HostileEndpoint>(EndpointOptions{.port = port, .tls = TlsOptions{renewed}});
  Deliver(service, "customer", "renewed-");
  EXPECT_EQ(Metric(service, kExpired), 0);
  EXPECT_EQ(Metric(service, kExpiry), static_cast<double>(good.ends_at.time_since_epoch().count()));
  EXPECT_EQ(platform_.Value(hosts), other_host + ", " + customer_host + "true");
}

TEST_F(Gauges, ShowHowManyCallsWereRecentlyEnqueuedAndDeclined) {
  platform_.AddAgent("agent", endpoint_.Url("/hook"));
  platform_.Query("INSERT INTO agents (id) VALUES ('mute')");
  platform_.CompleteCalls("agent", "call-", 5);
  platform_.CompleteCalls("mute", "mute-", 3);
  const Service service(Run());
  ASSERT_TRUE(service.WaitUntilReady());
  EXPECT_TRUE(service.WaitForMetric("postcall_enqueued_recent", 5));
  EXPECT_EQ(Metric(service, "postcall_declined_recent{reason=\"no_url\"}"), 3);
  for (const std::string reason : {"agent_id_too_long", "switched_off", "completed_unseen"}) {
    EXPECT_EQ(Metric(service, "postcall_declined_recent{reason=\"" + reason + "\"}"), 0) << reason;
  }
}

}  // namespace
}  // namespace postcall::test
