// Endpoints that misbehave in every way, against the real binary with its default limits. The tests check the
// log of each, that no delivery exceeds the deadline or fills the memory, and that other customers are not
// affected.
#include <openssl/ssl.h>

#include <fstream>
#include <map>
#include <memory>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/closed_ports.h"
#include "tests/support/sanitizers.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

// A wave has about 800 calls, up to 350 at once. Each keeps up to 64 KiB of headers or 4 KiB of a body in
// memory, and must discard all the rest as it arrives.
constexpr std::int64_t kPeakBound = std::int64_t{64} << 20;
// Twice the difference between the peaks of equal waves, in which by chance more or fewer calls run at once.
// It is 20 KiB per call, so the test notices a wave that leaks an answer or a connection for each call.
constexpr std::int64_t kGrowthBound = std::int64_t{16} << 20;

struct Scenario {
  std::string url;
  std::string outcome;
  std::string reached;
  std::string status = "";  // as text; empty is NULL
};
using Scenarios = std::map<std::string, Scenario>;  // by agent

// A script and the path that answers with it.
struct Answer {
  std::string name;
  Script script;
  std::string outcome;
  std::string reached;
  std::string status = "";
  AnswerAt at = AnswerAt::kRequestEnd;
};

const std::string kHeadOf100Mb = "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n";
const std::string kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string kHalfAHead = "HTTP/1.1 200 OK\r\nContent-Le";
const std::string kHalfABody = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab";

class Endpoints : public SystemTest {
 protected:
  HostileEndpoint& Add(EndpointOptions options = {}) {
    return *others_.emplace_back(std::make_unique<HostileEndpoint>(std::move(options)));
  }

  void AddScenario(const std::string& name, ConnectionScript script, const std::string& outcome,
                   const std::string& reached, const std::string& status = "") {
    HostileEndpoint& endpoint = Add();
    endpoint.OnConnection(std::move(script));
    scenarios_[name] = {endpoint.Url(), outcome, reached, status};
  }

  std::vector<const HostileEndpoint*> Others() const {
    std::vector<const HostileEndpoint*> all;
    for (const auto& endpoint : others_) all.push_back(endpoint.get());
    return all;
  }

  void AddAgents(const Scenarios& scenarios) {
    for (const auto& [agent, scenario] : scenarios) platform_.AddAgent(agent, scenario.url);
  }

  void CompleteCallsOfAll(const Scenarios& scenarios, const std::string& suffix, int count) {
    for (const auto& [agent, scenario] : scenarios) {
      platform_.CompleteCalls(agent, agent + suffix, count);
    }
  }

  // Expects that each agent has `count` calls, and that all of them ended as its scenario says.
  void ExpectAsScripted(const Scenarios& scenarios, int count) {
    for (const auto& [agent, scenario] : scenarios) {
      EXPECT_EQ(
          platform_.Value("SELECT string_agg(DISTINCT concat_ws(' ', outcome, reached, http_status), ', ')"
                          " || ' x' || count(*) FROM webhook_deliveries WHERE agent_id = '" +
                          agent + "'"),
          scenario.outcome + " " + scenario.reached + (scenario.status.empty() ? "" : " ") + scenario.status +
              " x" + std::to_string(count))
          << agent << ": "
          << platform_.Value("SELECT min(error) FROM webhook_deliveries WHERE agent_id = '" + agent + "'");
    }
  }

  // Returns the longest time, in seconds, from a request that hangs until its connection was closed. Other
  // scripts do not count: one that drips notices the end only when it writes, and one that no longer reads
  // never does.
  double LongestHang() {
    const auto hangs = [](const RequestEntry& request) {
      return request.path == "/hang-after-request" || request.path == "/length-too-long-and-hang";
    };
    double longest = 0;
    int hung = 0;
    EXPECT_TRUE(endpoint_.ledger().WaitFor(
        [&](const auto& requests, const auto& connections) {
          hung = 0;
          for (const RequestEntry& request : requests) {
            const std::optional<SteadyTime> closed_at = connections[request.connection].closed_at;
            if (!hangs(request) || !closed_at) continue;
            longest = std::max(longest, Seconds(*closed_at - request.head_at));
            ++hung;
          }
          return hung == 40;
        },
        5s))
        << hung;
    return longest;
  }

  Scenarios scenarios_;
  CertificateAuthority authority_;
  std::vector<std::unique_ptr<HostileEndpoint>> others_;
};

// A value of /proc/PID/status, in bytes.
std::int64_t Memory(const Service& service, const std::string& name) {
  std::ifstream status("/proc/" + std::to_string(service.pid()) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) * 1024;
  }
  throw std::runtime_error("no " + name);
}

// Starts a new measurement of the peak.
void ForgetPeak(const Service& service) {
  std::ofstream("/proc/" + std::to_string(service.pid()) + "/clear_refs") << "5";
}

// What one endpoint does with requests, by their path.
std::vector<Answer> Answers() {
  return {
      // One byte per second.
      {"drip-in-header", HeaderDrip(1s), "timeout", "response_started"},
      {"drip-in-body", BodyDrip(1s), "timeout", "response_started", "200"},
      // Answers without an end.
      {"endless-header-line", EndlessHeader(), "network_error", "response_started", "200"},
      {"endless-headers", EndlessHeaders(), "network_error", "response_started", "200"},
      {"endless-body", EndlessBody(), "delivered", "response_started", "200"},
      {"endless-plain-body", EndlessPlainBody(), "delivered", "response_started", "200"},
      {"endless-trailers", EndlessTrailers(), "network_error", "response_started", "200"},
      {"endless-chunk-extension", EndlessChunkExtension(), "timeout", "response_started", "200"},
      {"endless-1xx", EndlessInformational(), "network_error", "response_started"},
      // 100 MB, or as much of it as the dispatcher reads.
      {"body-of-100-mb", Send(kHeadOf100Mb) + SendForever("x"), "delivered", "response_started", "200"},
      // A Content-Length that is not the body's length.
      {"length-too-long", BodyShorterThanPromised(), "network_error", "response_started", "200"},
      {"length-too-long-and-hang", Send(kHalfABody) + Hang(), "timeout", "response_started", "200"},
      {"length-too-short", BodyLongerThanPromised(), "delivered", "response_complete", "200"},
      {"length-no-number", Send("HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\nok") + Close(),
       "network_error", "response_started", "200"},
      {"length-negative", Send("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok") + Close(), "network_error",
       "response_started", "200"},
      {"chunk-no-number", Send(kChunked + "ten\r\n") + Close(), "network_error", "response_started", "200"},
      // The connection ends during the request, after it, and during the answer.
      {"close-in-request", Close(), "network_error", "request_sent", "", AnswerAt::kHeadEnd},
      {"reset-in-request", Reset(), "network_error", "request_sent", "", AnswerAt::kHeadEnd},
      {"hang-in-request", Hang(), "timeout", "request_sent", "", AnswerAt::kHeadEnd},
      {"close-after-request", Close(), "network_error", "request_sent"},
      {"reset-after-request", Reset(), "network_error", "request_sent"},
      {"hang-after-request", Hang(), "timeout", "request_sent"},
      {"close-in-status-line", Send("HTTP/1.1 2") + Wait(50ms) + Close(), "network_error",
       "response_started"},
      {"reset-in-status-line", Send("HTTP/1.1 2") + Wait(50ms) + Reset(), "network_error",
       "response_started"},
      {"close-in-header", Send(kHalfAHead) + Close(), "network_error", "response_started", "200"},
      {"reset-in-header", Send(kHalfAHead) + Wait(50ms) + Reset(), "network_error", "response_started",
       "200"},
      {"reset-in-body", Send(kHalfABody) + Wait(50ms) + Reset(), "network_error", "response_started", "200"},
      {"close-in-chunk", Send(kChunked + "9\r\nab") + Close(), "network_error", "response_started", "200"},
      {"close-after-1xx", Send("HTTP/1.1 103 Early Hints\r\n\r\n") + Close(), "network_error",
       "response_started"},
      // An answer before the request was read. The refusal says that it closes, and closes late: without the
      // header, the next request on the connection, of whatever path, would be lost.
      {"answer-in-request", Respond(200, "", {{"Connection", "close"}}) + Hang(), "delivered",
       "response_complete", "200", AnswerAt::kHeadEnd},
      {"refusal-in-request", Respond(413, "", {{"Connection", "close"}}) + Wait(50ms) + Close(), "rejected",
       "response_complete", "413", AnswerAt::kHeadEnd},
      // An answer in another protocol.
      {"http09", Http09(), "network_error", "response_started"},
      {"garbage", Garbage(), "network_error", "response_started"},
      {"http2", Http2Preface(), "network_error", "response_started"},
      {"upgrade", Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n") + Hang(), "network_error",
       "response_started"},
  };
}

TEST_F(Endpoints, OfEveryKindAtOnceEndInTimeFillNoMemoryAndDelayNoOther) {
  for (const Answer& answer : Answers()) {
    endpoint_.On("/" + answer.name, answer.script, answer.at);
    scenarios_[answer.name] = {endpoint_.Url("/" + answer.name), answer.outcome, answer.reached,
                               answer.status};
  }
  // Scripts that act on the connection.
  AddScenario("close-at-accept", {.at_accept = Close()}, "network_error", "request_sent");
  // The endpoint waits for bytes: a reset before the dispatcher has seen the connection would be a
  // connect_error.
  AddScenario("reset-unread", {.at_accept = AwaitBytes() + Reset()}, "network_error", "request_sent");
  AddScenario("answer-at-accept", {.established = Respond(200)}, "delivered", "response_complete", "200");
  // TLS.
  const auto add_tls = [this](const std::string& name, const Certificate& certificate, int version = 0,
                              const ConnectionScript& script = {}) {
    HostileEndpoint& endpoint = Add({.tls = TlsOptions{certificate, 0, version}, .on_request = {}});
    endpoint.OnConnection(script);
    scenarios_[name] = {endpoint.Url(), "tls_error", "connected"};
  };
  const Certificate good = authority_.Issue({"127.0.0.1"});
  add_tls("certificate-expired", authority_.Issue({"127.0.0.1"}, Validity::Expired()));
  add_tls("certificate-of-the-future", authority_.Issue({"127.0.0.1"}, Validity::Future()));
  add_tls("certificate-self-signed", CertificateAuthority::SelfSigned({"127.0.0.1"}));
  add_tls("certificate-of-another-name", authority_.Issue({"other.example"}));
  add_tls("tls-1.1", good, TLS1_1_VERSION);
  add_tls("tls-1.0", good, TLS1_VERSION);
  add_tls("close-in-handshake", good, 0, {.at_accept = Wait(50ms) + Close()});
  add_tls("reset-in-handshake", good, 0, {.at_accept = AwaitBytes() + Reset()});
  add_tls("plain-text-for-a-handshake", good, 0, {.at_accept = Send(Response(400)) + Close()});
  add_tls("drip-in-handshake", good, 0, {.handshake_drip = 1s});
  scenarios_["drip-in-handshake"].outcome = "timeout";
  // Redirects to an internal address. It is allowed here, so that only the rule about redirects keeps the
  // dispatcher from following them.
  HostileEndpoint& inside = Add();
  for (const int status : {301, 302, 303, 307, 308}) {
    const std::string name = "redirect-" + std::to_string(status);
    endpoint_.On("/" + name, RedirectTo(inside.Url("/inside"), status));
    scenarios_[name] = {endpoint_.Url("/" + name), "rejected", "response_complete", std::to_string(status)};
  }
  const FullBacklog full;
  scenarios_["full-backlog"] = {"http://127.0.0.1:" + std::to_string(full.port()), "timeout", "nothing"};
  // Normal customers.
  const HostileEndpoint& plain = Add();
  const HostileEndpoint& tls = Add({.tls = TlsOptions{good}, .on_request = {}});
  Scenarios customers;
  for (const std::string number : {"1", "2", "3", "4", "5"}) {
    customers["customer-" + number] = {plain.Url(), "delivered", "response_complete", "200"};
    customers["customer-tls-" + number] = {tls.Url(), "delivered", "response_complete", "200"};
  }

  const Service service(Run({"--ca-file", authority_.ca_file().string()}));
  ASSERT_TRUE(service.WaitUntilReady());
  const std::int64_t before = Memory(service, "VmHWM");
  AddAgents(scenarios_);
  AddAgents(customers);
  std::vector<std::int64_t> peaks;
  for (const std::string wave : {"-first-", "-second-"}) {
    ForgetPeak(service);
    CompleteCallsOfAll(scenarios_, wave, 10);
    CompleteCallsOfAll(customers, wave, 20);
    ASSERT_TRUE(platform_.WaitUntilSettled(60s));
    peaks.push_back(Memory(service, "VmHWM"));
    EXPECT_EQ(platform_.Value(
                  "SELECT (SELECT max(finished_at) FROM webhook_deliveries WHERE agent_id ~ '^customer')"
                  " < (SELECT max(claimed_at) + '10 s' FROM webhook_deliveries"
                  "     WHERE outcome = 'timeout')"),
              "t")
        << "customers waited for endpoints that hang";
  }
  ExpectAsScripted(scenarios_, 20);
  ExpectAsScripted(customers, 40);
  ExpectTheOracleIsContent({}, {&service}, Others());
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE total_ms > 10250"), "0")
      << platform_.Value("SELECT max(total_ms) || ' ms' FROM webhook_deliveries");
  EXPECT_LE(LongestHang(), 10.25) << "by the endpoint's own clock";
  EXPECT_EQ(inside.ledger().ConnectionCount(), 0U) << "a redirect was followed";
  if (kSanitized) return;
  EXPECT_LT(peaks[0], before + kPeakBound);
  EXPECT_LT(peaks[1], peaks[0] + kGrowthBound) << "the memory before was " << before << " bytes";
}

// The request is larger than any socket's buffer, so that the connection ends while bytes are being written.
TEST_F(Endpoints, ThatCloseDuringALargeRequestAreReported) {
  endpoint_.On("/close", Close(), AnswerAt::kHeadEnd);
  platform_.AddAgent("agent", endpoint_.Url("/close"));
  platform_.Query("INSERT INTO calls (id, agent_id, status) VALUES ('large', 'agent', 'in_progress')");
  platform_.Query("INSERT INTO call_analysis (call_id, summary) VALUES ('large', repeat('x', 5000000))");
  platform_.Query("UPDATE calls SET status = 'completed'");
  const Service service(Run());
  ASSERT_TRUE(platform_.WaitUntilSettled());
  EXPECT_EQ(platform_.Value("SELECT outcome || ' ' || reached FROM webhook_deliveries"),
            "network_error request_sent");
  ASSERT_EQ(endpoint_.ledger().RequestCount(), 1U);
  EXPECT_FALSE(endpoint_.ledger().Requests()[0].complete);
  ExpectTheOracleIsContent({}, {&service});
}

}  // namespace
}  // namespace postcall::test
