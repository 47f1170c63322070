#include "tests/integration/http/poster.h"

#include <csignal>
#include <stdexcept>

#include "common/clock.h"

namespace postcall::test {

const CertificateAuthority& Authority() {
  static const CertificateAuthority authority;
  return authority;
}

egress::Policy LoopbackAllowed() {
  return egress::Policy({*egress::ParseCidr("127.0.0.0/8"), *egress::ParseCidr("::1")}, {});
}

http::PostRequest Request(const std::string& url, std::string body) {
  auto parsed = ParseUrl(url);
  if (!parsed) throw std::invalid_argument(parsed.error());
  return {.url = *parsed, .headers = {}, .body = std::move(body), .send_before = Steady::now() + 10s};
}

Poster::Poster(http::EngineOptions options, egress::Policy policy, http::SourceAddresses sources)
    : policy_(std::move(policy)), reachability_(std::move(sources)) {
  std::signal(SIGPIPE, SIG_IGN);
  if (options.ca_file.empty()) options.ca_file = Authority().ca_file();
  engine_ = std::make_unique<http::Engine>(loop_, policy_, reachability_, metrics_, std::move(options));
}

Poster::Pending Poster::Start(http::PostRequest request) {
  auto pending = std::make_shared<std::optional<http::PostResult>>();
  engine_->Post(std::move(request),
                [pending](http::PostResult result) { pending->emplace(std::move(result)); });
  return pending;
}

http::PostResult Poster::Send(http::PostRequest request) {
  const Pending pending = Start(std::move(request));
  if (!RunUntil([&] { return pending->has_value(); })) throw std::runtime_error("the POST never ended");
  return **pending;
}

http::LookupResult Poster::LookUp(const std::string& host) {
  std::optional<http::LookupResult> lookup;
  engine_->Lookup(host, [&](const http::LookupResult& result) { lookup = result; });
  if (!RunUntil([&] { return lookup.has_value(); })) throw std::runtime_error("the lookup never ended");
  return *lookup;
}

bool Poster::RunUntil(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  const SteadyTime end = Steady::now() + limit;
  loop_.restart();
  while (!done()) {
    if (Steady::now() >= end) return false;
    loop_.run_one_until(end);
  }
  return true;
}

bool Poster::RunUntilIdle(std::chrono::milliseconds limit) {
  return RunUntil([this] { return engine_->in_flight() == 0; }, limit);
}

}  // namespace postcall::test
