// An engine with its loop, which the test's own thread runs. One thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dispatcher/egress/policy.h"
#include "dispatcher/http/engine.h"
#include "dispatcher/metrics/metrics.h"
#include "tests/support/certificates.h"

namespace postcall::test {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): for all tests here

// The authority of all certificates that these tests trust.
const CertificateAuthority& Authority();

// Allows 127.0.0.0/8 and ::1.
egress::Policy LoopbackAllowed();

http::PostRequest Request(const std::string& url, std::string body = R"({"callId":"c-1"})");

class Poster {
 public:
  explicit Poster(http::EngineOptions options = {}, egress::Policy policy = LoopbackAllowed(),
                  http::SourceAddresses sources = {});

  // Sends one POST and waits until it is over.
  http::PostResult Send(http::PostRequest request);
  http::PostResult Send(const std::string& url) { return Send(Request(url)); }

  // Starts a POST; the result is set while RunUntil runs the loop.
  using Pending = std::shared_ptr<std::optional<http::PostResult>>;
  Pending Start(http::PostRequest request);
  Pending Start(const std::string& url) { return Start(Request(url)); }

  // Looks up a name and waits for the result.
  http::LookupResult LookUp(const std::string& host);

  // Runs the loop until `done` is true. Returns false when `limit` passes first.
  bool RunUntil(const std::function<bool()>& done, std::chrono::milliseconds limit = 30s);
  // Runs the loop until every POST that was started is over.
  bool RunUntilIdle(std::chrono::milliseconds limit = 30s);

  boost::asio::io_context& loop() { return loop_; }
  http::Engine& engine() { return *engine_; }
  metrics::Metrics& metrics() { return metrics_; }
  const http::Reachability& reachability() const { return reachability_; }
  // After this call there is no engine.
  void DestroyEngine() { engine_.reset(); }

 private:
  boost::asio::io_context loop_{1};
  egress::Policy policy_;
  http::Reachability reachability_;
  metrics::Metrics metrics_;
  std::unique_ptr<http::Engine> engine_;
};

}  // namespace postcall::test
