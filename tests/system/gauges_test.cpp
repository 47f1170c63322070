// Metrics of the real binary that have alerts: certificates by host, and calls that are not enqueued.
#include "tests/support/certificates.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class Gauges : public SystemTest {
 protected:
  double Metric(const Service& service, const std::string& series) {
    return service.Metric(series).value_or(-1);
  }
  void Deliver(const Service& service, const std::string& agent, const std::string& prefix) {
    platform_.CompleteCalls(agent, prefix, 1);
    ASSERT_TRUE(platform_.WaitUntilSettled()) << service.log();
  }

  static constexpr const char* kExpiry = "postcall_certificate_expiry_timestamp_seconds";
  static constexpr const char* kExpired = "postcall_certificates_expired";
};

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
  const SteadyTime end = Steady::now() + 20s;
  while (Metric(service, "postcall_enqueued_recent") != 5 && Steady::now() < end) std::this_thread::yield();
  EXPECT_EQ(Metric(service, "postcall_enqueued_recent"), 5);
  EXPECT_EQ(Metric(service, "postcall_declined_recent{reason=\"no_url\"}"), 3);
  for (const std::string reason : {"agent_id_too_long", "switched_off", "completed_unseen"}) {
    EXPECT_EQ(Metric(service, "postcall_declined_recent{reason=\"" + reason + "\"}"), 0) << reason;
  }
}

}  // namespace
}  // namespace postcall::test
