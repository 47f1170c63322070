// Endpoints end connections that are kept for the next call, at the worst moment. Only the call on such a
// connection is lost, and none is sent twice. The tests use plain connections and TLS.
#include <atomic>
#include <map>
#include <memory>

#include "tests/support/certificates.h"
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

const std::string kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string kHalfAHead = "HTTP/1.1 200 OK\r\nContent-Le";
const std::string kHalfABody = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab";

class KeptConnections : public SystemTest {
 protected:
  HostileEndpoint& Add(bool tls) {
    EndpointOptions options;
    if (tls) options.tls = TlsOptions{certificate_};
    return *others_.emplace_back(std::make_unique<HostileEndpoint>(std::move(options)));
  }

  std::vector<const HostileEndpoint*> Others() const {
    std::vector<const HostileEndpoint*> all;
    for (const auto& endpoint : others_) all.push_back(endpoint.get());
    return all;
  }

  // Sends one call of `agent` and waits until it is over. Returns its outcome, and whether its connection was
  // reused.
  std::string SendOne(const std::string& agent, const std::string& call) {
    platform_.CompleteCalls(agent, call, 1);
    EXPECT_TRUE(platform_.WaitUntilSettled());
    return platform_.Value(
        "SELECT outcome || CASE WHEN connection_reused THEN ' reused' ELSE '' END"
        " FROM webhook_deliveries WHERE call_id = '" +
        call + "1'");
  }

  CertificateAuthority authority_;
  const Certificate certificate_ = authority_.Issue({"127.0.0.1"});
  std::vector<std::unique_ptr<HostileEndpoint>> others_;
};

// The endpoint answers the first request of a connection, and runs this script for the next one.
struct Moment {
  std::string name;
  Script script;
  std::string reached;
  std::string status = "";
  AnswerAt at = AnswerAt::kRequestEnd;
};

std::vector<Moment> Moments() {
  return {
      {"after-its-head-close", Close(), "request_sent", "", AnswerAt::kHeadEnd},
      {"after-its-head-reset", Reset(), "request_sent", "", AnswerAt::kHeadEnd},
      {"after-its-body-close", Close(), "request_sent"},
      {"after-its-body-reset", Reset(), "request_sent"},
      {"in-status-line-close", Send("HTTP/1.1 2") + Wait(50ms) + Close(), "response_started"},
      {"in-status-line-reset", Send("HTTP/1.1 2") + Wait(50ms) + Reset(), "response_started"},
      {"in-header-close", Send(kHalfAHead) + Close(), "response_started", "200"},
      {"in-body-close", Send(kHalfABody) + Close(), "response_started", "200"},
      {"in-body-reset", Send(kHalfABody) + Wait(50ms) + Reset(), "response_started", "200"},
      {"in-chunk-close", Send(kChunked + "9\r\nab") + Close(), "response_started", "200"},
  };
}

TEST_F(KeptConnections, ThatEndAtAnyMomentLoseOnlyTheCallThatIsOnThem) {
  std::map<std::string, Moment> moments;  // by agent
  for (const bool tls : {false, true}) {
    for (const Moment& moment : Moments()) {
      HostileEndpoint& endpoint = Add(tls);
      endpoint.Otherwise(
          [script = moment.script](const RequestEntry& request) {
            return request.on_connection == 0 ? Respond(200) : script;
          },
          moment.at);
      const std::string agent = moment.name + (tls ? "-tls" : "");
      moments[agent] = moment;
      platform_.AddAgent(agent, endpoint.Url());
    }
  }
  // One call at a time, so that each second call uses the connection of the call before.
  const Service service(Run({"--ca-file", authority_.ca_file().string(), "--max-in-flight-per-agent", "1"}));
  for (const auto& [agent, moment] : moments) platform_.CompleteCalls(agent, agent + "-", 10);
  ExpectTheOracleIsContent({}, {&service}, Others());
  for (const auto& [agent, moment] : moments) {
    EXPECT_EQ(platform_.Value(
                  "SELECT string_agg(concat_ws(' ', row, count), ', ' ORDER BY row) FROM ("
                  " SELECT concat_ws(' ', outcome, reached, http_status, connection_reused) AS row, count(*)"
                  "   FROM webhook_deliveries WHERE agent_id = '" +
                  agent + "' GROUP BY 1) AS rows"),
              "delivered response_complete 200 f 5, network_error " + moment.reached +
                  (moment.status.empty() ? "" : " ") + moment.status + " t 5")
        << agent;
  }
}

// When the connection ends while the next request is on its way, that request may be lost. The endpoint has
// not seen it, so only the outcome shows that it was not sent again.
TEST_F(KeptConnections, ThatEndJustBeforeTheNextRequestAreNoReasonToSendAgain) {
  std::atomic<int> answers = 0;
  endpoint_.Otherwise([&](const RequestEntry&) {
    const std::chrono::milliseconds pause(++answers % 4);
    return Respond(200) + Wait(pause) + (answers % 8 < 4 ? Close() : Wait(1ms) + Reset());
  });
  platform_.AddAgent("agent", endpoint_.Url());
  const Service service(Run({"--max-in-flight-per-agent", "1"}));
  platform_.CompleteCalls("agent", "call-", 400);
  ExpectTheOracleIsContent({}, {&service});
  const std::string lost = "outcome = 'network_error' AND reached = 'request_sent' AND connection_reused";
  EXPECT_EQ(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE outcome <> 'delivered' AND NOT (" +
                            lost + ")"),
            "0");
  EXPECT_LE(*service.Metric("postcall_resend_guard_total"),
            std::stod(platform_.Value("SELECT count(*) FROM webhook_deliveries WHERE " + lost)));
}

// No call is in flight here, so none can be lost.
TEST_F(KeptConnections, ThatEndOrAreSpoiltWhileIdleAreNotUsed) {
  const std::string unasked = Response(408, "too slow");  // servers send this before they close
  const std::map<std::string, Script> spoilt = {
      {"close", Respond(200) + Wait(20ms) + Close()},
      {"reset", Respond(200) + Wait(20ms) + Reset()},
      {"unasked-answer", Respond(200) + Wait(20ms) + Send(unasked) + Hang()},
      {"unasked-answer-and-close", Respond(200) + Wait(20ms) + Send(unasked) + Close()},
      {"unasked-byte", Respond(200) + Wait(20ms) + Send("H") + Hang()},
  };
  const Service service(Run({"--ca-file", authority_.ca_file().string()}));
  for (const bool tls : {false, true}) {
    for (const auto& [name, script] : spoilt) {
      HostileEndpoint& endpoint = Add(tls);
      endpoint.Otherwise(script);
      const std::string agent = name + (tls ? "-tls" : "");
      platform_.AddAgent(agent, endpoint.Url());
      EXPECT_EQ(SendOne(agent, agent + "-first-"), "delivered") << agent;
      ASSERT_TRUE(endpoint.ledger().WaitFor(
          [](const auto& requests, const auto&) { return requests.at(0).answer_ended_at.has_value(); }, 5s));
      EXPECT_EQ(SendOne(agent, agent + "-second-"), "delivered") << agent;
    }
  }
  ExpectTheOracleIsContent({}, {&service}, Others());
}

}  // namespace
}  // namespace postcall::test
