#include "tests/torture/customers.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

// Of eight agents, one has a bad endpoint.
constexpr int kBadOneIn = 8;

}  // namespace

Customers::Customers() {
  HostileEndpoint& plain = endpoints_.emplace_back();
  HostileEndpoint& second = endpoints_.emplace_back();
  HostileEndpoint& tls =
      endpoints_.emplace_back(EndpointOptions{.tls = TlsOptions{authority_.Issue({"127.0.0.1"})}});
  HostileEndpoint& expired = endpoints_.emplace_back(
      EndpointOptions{.tls = TlsOptions{authority_.Issue({"127.0.0.1"}, Validity::Expired())}});
  for (HostileEndpoint* endpoint : {&plain, &second, &tls}) {
    endpoint->On("/soon", Wait(200ms) + Respond(200));
    endpoint->On("/slow", Wait(3s) + Respond(200));
    endpoint->On("/late", Wait(9500ms) + Respond(200));
    endpoint->On("/hang", Hang());
    endpoint->On("/fail", Respond(500, "no"));
    endpoint->On("/early", Respond(200), AnswerAt::kHeadEnd);
    endpoint->On("/reset", Reset());
    // Takes the second request of each connection and is gone: what a client is tempted to send again.
    endpoint->On("/closes", [](const RequestEntry& request) {
      return request.on_connection == 0 ? Respond(200) : Close();
    });
    endpoint->On("/drip", BodyDrip(500ms));
    endpoint->On("/endless", EndlessBody());
    endpoint->On("/garbage", Garbage());
    endpoint->On("/short", BodyShorterThanPromised());
    endpoint->On("/redirect", RedirectTo(second.Url("/stolen")));
    good_.push_back(endpoint->Url("/hook"));
    good_.push_back(endpoint->Url("/hook?key=value"));
    good_.push_back(endpoint->Url("/soon"));
    for (const std::string path : {"/slow", "/late", "/hang", "/fail", "/early", "/reset", "/closes", "/drip",
                                   "/endless", "/garbage", "/short", "/redirect"}) {
      bad_.push_back(endpoint->Url(path));
    }
  }
  bad_.push_back(expired.Url("/hook"));
  for (const std::uint16_t port : {refusing_.port(), deaf_.port()}) {
    bad_.push_back("http://127.0.0.1:" + std::to_string(port) + "/");
  }
  bad_.emplace_back("http://10.0.0.1/");
  bad_.emplace_back("nonsense");
}

void Customers::Register(Platform& platform, int count) const {
  std::size_t next_good = 0;
  std::size_t next_bad = 0;
  for (int agent = 1; agent <= count; ++agent) {
    const std::string& url =
        agent % kBadOneIn == 0 ? bad_[next_bad++ % bad_.size()] : good_[next_good++ % good_.size()];
    platform.AddAgent("agent-" + std::to_string(agent), url);
  }
}

std::vector<const RequestLedger*> Customers::Ledgers() const {
  std::vector<const RequestLedger*> ledgers;
  for (const HostileEndpoint& endpoint : endpoints_) ledgers.push_back(&endpoint.ledger());
  return ledgers;
}

void Customers::CloseConnections() {
  for (HostileEndpoint& endpoint : endpoints_) endpoint.CloseConnections();
}

}  // namespace postcall::test
