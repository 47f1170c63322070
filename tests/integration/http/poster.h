// An engine with its loop, run by the test's own thread. One thread.
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

// Of all certificates that these tests trust.
const CertificateAuthority& Authority();

// 127.0.0.0/8 and ::1.
egress::Policy LoopbackAllowed();

http::PostRequest Request(const std::string& url, std::string body = R"({"callId":"c-1"})");

class Poster {
 public:
  explicit Poster(http::EngineOptions options = {}, egress::Policy policy = LoopbackAllowed());

  // Sends one and waits for its end.
  http::PostResult Send(http::PostRequest request);
  http::PostResult Send(const std::string& url) { return Send(Request(url)); }

  // Sends it; the result is there once RunUntil has seen it.
  using Pending = std::shared_ptr<std::optional<http::PostResult>>;
  Pending Start(http::PostRequest request);
  Pending Start(const std::string& url) { return Start(Request(url)); }

  // False when `limit` passed first.
  bool RunUntil(const std::function<bool()>& done, std::chrono::milliseconds limit = 30s);
  // Until all that was started is over.
  bool RunUntilIdle(std::chrono::milliseconds limit = 30s);

  boost::asio::io_context& loop() { return loop_; }
  http::Engine& engine() { return *engine_; }
  metrics::Metrics& metrics() { return metrics_; }
  // From now on there is none.
  void DestroyEngine() { engine_.reset(); }

 private:
  boost::asio::io_context loop_{1};
  egress::Policy policy_;
  metrics::Metrics metrics_;
  std::unique_ptr<http::Engine> engine_;
};

}  // namespace postcall::test
