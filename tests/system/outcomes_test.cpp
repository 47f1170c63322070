// The tests cause every outcome and every `reached` of the log in the real binary, with its default limits.
#include <map>

#include "tests/support/certificates.h"
#include "tests/support/closed_ports.h"
#include "tests/support/name_server.h"
#include "tests/support/system_names.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

struct Expected {
  std::string url;
  std::string outcome;
  std::string reached;
  std::string status = "";  // as text; empty is NULL
  std::string more_settings = "";
};

class Outcomes : public SystemTest {
 protected:
  ServiceOptions RunWithNames(const std::vector<std::string>& more = {}) const {
    ServiceOptions options = Run(more);
    options.resolv_conf = names_.resolv_conf();
    return options;
  }

  // Completes one call of one agent for each scenario, and expects what the scenario says in every row.
  void Check(const std::map<std::string, Expected>& scenarios) {
    for (const auto& [name, expected] : scenarios) {
      platform_.AddAgent(name, expected.url, expected.more_settings);
      platform_.CompleteCalls(name, name + "-", 1);
    }
    EXPECT_TRUE(platform_.WaitUntilSettled(30s));
    for (const auto& [name, expected] : scenarios) {
      const auto rows = platform_.Query(
          "SELECT outcome, coalesce(reached, ''), coalesce(http_status::text, ''), coalesce(error, '')"
          " FROM webhook_deliveries WHERE agent_id = '" +
          name + "'");
      ASSERT_EQ(rows.size(), 1U) << name;
      EXPECT_EQ(rows[0][0].as<std::string>(), expected.outcome)
          << name << ": " << rows[0][3].as<std::string>();
      EXPECT_EQ(rows[0][1].as<std::string>(), expected.reached)
          << name << ": " << rows[0][3].as<std::string>();
      EXPECT_EQ(rows[0][2].as<std::string>(), expected.status) << name;
      EXPECT_EQ(rows[0][3].as<std::string>().empty(), expected.outcome == "delivered") << name;
      EXPECT_EQ(rows[0][3].as<std::string>().find("10.0.0.1"), std::string::npos)
          << "an internal address in " << name;
    }
  }

  SystemNames names_;
};

TEST_F(Outcomes, FollowTheSystemsNameServersWhenTheyChange) {
  NameServer others(names_.other_address(), 53);
  others.Script("moved.example", NameAnswer::Addresses({"127.0.0.1"}));
  const Service service(RunWithNames());
  platform_.AddAgent("agent", endpoint_.Url("/ok", "moved.example"));
  platform_.CompleteCalls("agent", "before-", 1);
  ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"dns_error", 1}}));
  names_.PointTo(names_.other_address());
  const SteadyTime limit = Steady::now() + 20s;
  for (int call = 1; platform_.Outcomes()["delivered"] == 0 && Steady::now() < limit; ++call) {
    platform_.CompleteCalls("agent", "after" + std::to_string(call) + "-", 1);
    ASSERT_TRUE(platform_.WaitUntilSettled(30s));
  }
  EXPECT_EQ(platform_.Outcomes()["delivered"], 1);
}

TEST_F(Outcomes, SayWhatTheEndpointDid) {
  endpoint_.On("/ok", Respond(200, "fine"));
  endpoint_.On("/no-content", Send("HTTP/1.1 204 No Content\r\n\r\n"));
  endpoint_.On("/fail", Respond(500, "oops"));
  endpoint_.On("/redirect", RedirectTo("http://10.0.0.1/internal"));
  endpoint_.On("/hang", Hang());
  endpoint_.On("/header-drip", HeaderDrip(500ms));
  endpoint_.On("/body-drip", BodyDrip(500ms));
  endpoint_.On("/reset", Reset());
  endpoint_.On("/close", Close());
  endpoint_.On("/short", BodyShorterThanPromised());
  endpoint_.On("/garbage", Garbage());
  endpoint_.On("/http09", Http09());
  endpoint_.On("/endless-headers", EndlessHeaders());
  endpoint_.On("/endless-trailers", EndlessTrailers());
  endpoint_.On("/endless-informational", EndlessInformational());
  endpoint_.On("/endless-body", EndlessBody());
  endpoint_.On("/large-refusal", Respond(413, std::string(200'000, 'x')));
  const RefusingPort dead;
  const FullBacklog deaf;
  CertificateAuthority authority;
  HostileEndpoint tls({.tls = TlsOptions{authority.Issue({"127.0.0.1"})}});
  HostileEndpoint self_signed({.tls = TlsOptions{CertificateAuthority::SelfSigned({"127.0.0.1"})}});
  HostileEndpoint expired({.tls = TlsOptions{authority.Issue({"127.0.0.1"}, Validity::Expired())}});
  HostileEndpoint wrong_name({.tls = TlsOptions{authority.Issue({"other.example"})}});
  names_.server().Script("private.example", NameAnswer::Addresses({"10.0.0.1"}));
  names_.server().Script("mixed.example", NameAnswer::Addresses({"127.0.0.1", "10.0.0.1"}));
  names_.server().Script("good.example", NameAnswer::Addresses({"127.0.0.1"}));
  names_.server().Script("broken.example", NameAnswer::Of(NameAnswer::Kind::kServerFailure));
  names_.server().Script("silent.example", NameAnswer::Of(NameAnswer::Kind::kSilence));

  Service service(RunWithNames({"--ca-file", authority.ca_file().string()}));
  const auto at = [](std::uint16_t port) { return "http://127.0.0.1:" + std::to_string(port) + "/"; };
  Check({
      {"ok", {endpoint_.Url("/ok"), "delivered", "response_complete", "200"}},
      {"no-content", {endpoint_.Url("/no-content"), "delivered", "response_complete", "204"}},
      {"tls", {tls.Url("/ok"), "delivered", "response_complete", "200"}},
      {"named", {endpoint_.Url("/ok", "good.example"), "delivered", "response_complete", "200"}},
      {"fail", {endpoint_.Url("/fail"), "rejected", "response_complete", "500"}},
      {"redirect", {endpoint_.Url("/redirect"), "rejected", "response_complete", "302"}},
      {"large-refusal", {endpoint_.Url("/large-refusal"), "rejected", "response_started", "413"}},
      {"endless-body", {endpoint_.Url("/endless-body"), "delivered", "response_started", "200"}},
      {"hang", {endpoint_.Url("/hang"), "timeout", "request_sent"}},
      {"header-drip", {endpoint_.Url("/header-drip"), "timeout", "response_started", "200"}},
      {"body-drip", {endpoint_.Url("/body-drip"), "timeout", "response_started", "200"}},
      {"deaf", {at(deaf.port()), "timeout", "nothing"}},
      {"dead", {at(dead.port()), "connect_error", "nothing"}},
      {"reset", {endpoint_.Url("/reset"), "network_error", "request_sent"}},
      {"close", {endpoint_.Url("/close"), "network_error", "request_sent"}},
      {"short", {endpoint_.Url("/short"), "network_error", "response_started", "200"}},
      {"garbage", {endpoint_.Url("/garbage"), "network_error", "response_started"}},
      {"http09", {endpoint_.Url("/http09"), "network_error", "response_started"}},
      {"endless-headers", {endpoint_.Url("/endless-headers"), "network_error", "response_started", "200"}},
      {"endless-trailers", {endpoint_.Url("/endless-trailers"), "network_error", "response_started", "200"}},
      {"endless-informational",
       {endpoint_.Url("/endless-informational"), "network_error", "response_started"}},
      {"self-signed", {self_signed.Url(), "tls_error", "connected"}},
      {"expired", {expired.Url(), "tls_error", "connected"}},
      {"wrong-name", {wrong_name.Url(), "tls_error", "connected"}},
      {"no-such-name", {"http://missing.example/", "dns_error", "nothing"}},
      {"server-failure", {"http://broken.example/", "dns_error", "nothing"}},
      {"silent-names", {"http://silent.example/", "dns_error", "nothing"}},
      {"private-literal", {"http://10.0.0.1/", "blocked", "nothing"}},
      {"mapped-literal", {"http://[::ffff:10.0.0.1]/", "blocked", "nothing"}},
      {"private-name", {"http://private.example/", "blocked", "nothing"}},
      {"partly-private-name", {"http://mixed.example/", "blocked", "nothing"}},
      {"no-url", {"nonsense", "invalid_settings", "nothing"}},
      {"bad-secret", {endpoint_.Url("/ok"), "invalid_settings", "nothing", "", R"("secret": "not base64!")"}},
      {"bad-header",
       {endpoint_.Url("/ok"), "invalid_settings", "nothing", "", R"("headers": {"Host": "x"})"}},
  });

  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'timeout'"
                            " AND total_ms NOT BETWEEN 10000 AND 10250"),
            "0");
  EXPECT_EQ(platform_.Value("SELECT response_body FROM webhook_deliveries WHERE agent_id = 'fail'"), "oops");
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE response_truncated"), "2");
  EXPECT_EQ(
      platform_.Value("SELECT certificate_ends_at > now() FROM webhook_deliveries WHERE agent_id = 'tls'"),
      "t");
  EXPECT_EQ(platform_.Value("SELECT unaccounted FROM webhook_reconciliation"), "0");
  for (const auto& [call, requests] : endpoint_.ledger().RequestsPerCall()) EXPECT_EQ(requests, 1U) << call;
  EXPECT_EQ(service.Metric("postcall_deliveries_total{cause=\"completion\",outcome=\"blocked\"}"), 4.0);
}

TEST_F(Outcomes, AreSkippedWhenTheUrlOrAgentOrCallIsRemovedAfterEnqueueing) {
  platform_.AddAgent("gone-url", endpoint_.Url("/ok"));
  platform_.AddAgent("gone-call", endpoint_.Url("/ok"));
  platform_.AddAgent("gone-agent", endpoint_.Url("/ok"));
  for (const std::string agent : {"gone-url", "gone-call", "gone-agent"}) {
    platform_.CompleteCalls(agent, agent + "-", 1);
  }
  platform_.Query("UPDATE agents SET settings = '{}' WHERE id = 'gone-url'");
  platform_.Query("DELETE FROM calls WHERE agent_id IN ('gone-call', 'gone-agent')");
  platform_.Query("DELETE FROM agents WHERE id = 'gone-agent'");

  Service service(Run());
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(platform_.Outcomes(), (std::map<std::string, int>{{"skipped", 3}}));
  EXPECT_EQ(platform_.Value("SELECT url FROM webhook_deliveries WHERE agent_id = 'gone-call'"),
            endpoint_.Url("/ok"));
  EXPECT_EQ(platform_.Value("SELECT unaccounted FROM webhook_reconciliation"), "0");
  EXPECT_EQ(endpoint_.ledger().RequestCount(), 0U);
}

}  // namespace
}  // namespace postcall::test
