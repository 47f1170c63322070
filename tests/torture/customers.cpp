#include "tests/torture/customers.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

// One of eight agents has a bad endpoint.
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
    // It reads the second request of each connection and closes: many clients would send that request again.
    endpoint->On("/closes", [](const RequestEntry& request) {
      return request.on_connection == 0 ? Respond(200) : Close();
    });
    endpoint->On("/drip", BodyDrip(500ms));
    endpoint->On("/endless", EndlessBody());
    endpoint->On("/garbage", Garbage());
    endpoint->On("/short", BodyShorterThanPromised());
    endpoint->On("/redirect", RedirectTo(second.Url("/stolen")));
    for (const std::string path : {"/hook", "/hook?key=value", "/soon"}) {
      good_.push_back({endpoint->Url(path), {"delivered"}});
    }
    for (const auto& [path, outcomes] : std::vector<std::pair<std::string, std::set<std::string>>>{
             {"/slow", {"delivered"}},
             {"/late", {"delivered", "timeout"}},
             {"/hang", {"timeout"}},
             {"/fail", {"rejected"}},
             {"/early", {"delivered"}},
             {"/reset", {"network_error"}},
             {"/closes", {"delivered", "network_error"}},
             {"/drip", {"timeout"}},
             {"/endless", {"delivered"}},
             {"/garbage", {"network_error"}},
             {"/short", {"network_error"}},
             {"/redirect", {"rejected"}}}) {
      bad_.push_back({endpoint->Url(path), outcomes});
    }
  }
  bad_.push_back({expired.Url("/hook"), {"tls_error"}});
  bad_.push_back({"http://127.0.0.1:" + std::to_string(refusing_.port()) + "/", {"connect_error"}});
  bad_.push_back({"http://127.0.0.1:" + std::to_string(deaf_.port()) + "/", {"timeout"}});
  bad_.push_back({"http://10.0.0.1/", {"blocked"}});
  bad_.push_back({"nonsense", {"invalid_settings"}});
}

const Customers::Customer& Customers::CustomerOf(int agent) const {
  const int bad_before = agent / kBadOneIn;
  return agent % kBadOneIn == 0 ? bad_[static_cast<std::size_t>(bad_before - 1) % bad_.size()]
                                : good_[static_cast<std::size_t>(agent - 1 - bad_before) % good_.size()];
}

void Customers::Register(Platform& platform, int count) const {
  for (int agent = 1; agent <= count; ++agent) {
    platform.AddAgent("agent-" + std::to_string(agent), CustomerOf(agent).url);
  }
}

std::vector<std::string> Customers::GoodUrls() const {
  std::vector<std::string> urls;
  for (const Customer& customer : good_) urls.push_back(customer.url);
  return urls;
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
