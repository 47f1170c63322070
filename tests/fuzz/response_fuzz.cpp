// The real engine and an endpoint that answers as the input says (answer_script.h), one POST after the other
// while there are answers. There must never be a second request, `done` must be called once and in time, and
// the outcome must be `delivered` only when the bytes have a 2xx.
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>

#include "common/clock.h"
#include "common/utf8.h"
#include "dispatcher/egress/policy.h"
#include "dispatcher/http/engine.h"
#include "dispatcher/metrics/metrics.h"
#include "tests/fuzz/answer_script.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/stepped_endpoint.h"
#include "tests/fuzz/text.h"

namespace postcall::fuzz {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

constexpr auto kTimeout = 300ms;
constexpr std::size_t kKeptBytes = 100;
constexpr std::size_t kMaxBodyBytes = 65536;  // CONTRACT §2
constexpr std::size_t kBigRequest = 1 << 18;  // more than the two sockets can hold

// One engine for all runs; each run leaves it without a connection.
class Stage {
 public:
  Stage()
      : policy_({*egress::ParseCidr("127.0.0.1/32")}, {}),
        engine_(loop_, policy_, reachability_, metrics_,
                {.timeout = kTimeout,
                 .response_body_bytes = kKeptBytes,
                 .max_idle_connections = 16,
                 .name_servers = "127.0.0.1:9"}) {
    std::signal(SIGPIPE, SIG_IGN);
  }

  void Run(std::string_view input) {
    const auto answers = ReadAnswers(input);
    std::size_t number = 0;
    for (const AnswerScript& answer : answers) Post("/" + std::to_string(++number), answer);
    endpoint_.ResetAll();
    while (loop_.poll() > 0) {
    }
    Require(engine_.in_flight() == 0, "nothing is in flight at the end", {});
  }

 private:
  void Post(const std::string& target, const AnswerScript& answer);
  bool MayBeSilent();
  void CheckResult(const DeliveryResult& result) const;

  boost::asio::io_context loop_{1};
  egress::Policy policy_;
  http::Reachability reachability_;
  metrics::Metrics metrics_;
  http::Engine engine_;
  SteppedEndpoint endpoint_;
  const SteadyTime begun_ = Steady::now();
  int silences_ = 0;
};

void Stage::Post(const std::string& target, const AnswerScript& answer) {
  auto url = ParseUrl("http://127.0.0.1:" + std::to_string(endpoint_.port()) + target);
  int ends = 0;
  http::PostResult end;
  endpoint_.Expect(target, answer);
  const bool ends_silent = !answer.steps.empty() && answer.steps.back().kind == AnswerStep::Kind::kSilence;
  const bool silence = ends_silent && MayBeSilent();
  const SteadyTime started = Steady::now();
  loop_.restart();
  engine_.Post({.url = *url,
                .headers = {},
                .body = answer.early ? std::string(kBigRequest, 'x') : R"({"callId":"c-1"})",
                .send_before = started + 10s},
               [&](http::PostResult result) {
                 ++ends;
                 end = std::move(result);
               });
  const SteadyTime limit = started + kTimeout + 50ms;
  int late = 0;
  while (ends == 0) {
    // It counts handlers and not time: even on a busy machine, a few handlers end what is overdue.
    if (Steady::now() >= limit) Require(++late < 100, "a POST is over in time", {target});
    if (loop_.poll_one() > 0 || endpoint_.Step()) continue;
    if (silence && endpoint_.silent()) {
      loop_.run_one_until(limit);
    } else if (!endpoint_.GiveUp()) {  // when the engine waits for more, the endpoint closes
      loop_.run_one_for(1ms);          // bytes are still on their way
    }
  }
  endpoint_.Finish();
  while (endpoint_.Step() || loop_.poll() > 0) {
  }
  Require(ends == 1, "done is called once", {target});
  if (!end.fault) CheckResult(end.result);
}

// A silence takes the whole time limit, so at most a tenth of the time is for silences. The first silence of
// a process is always real, so that an input that runs alone does what it says.
bool Stage::MayBeSilent() {
  if (silences_ * 10 * kTimeout > Steady::now() - begun_) return false;
  ++silences_;
  return true;
}

void Stage::CheckResult(const DeliveryResult& result) const {
  const std::string& sent = endpoint_.sent();
  const std::string outcome(ToString(result.outcome));
  const FinalResponse final_response = FindFinalResponse(sent);
  const bool is_2xx = final_response.status / 100 == 2 && final_response.has_head;
  Require(result.outcome != Outcome::kDelivered || is_2xx || final_response.is_doubtful,
          "a delivered POST got a 2xx", {sent, outcome});
  Require(!result.http_status || *result.http_status == final_response.status || final_response.is_doubtful,
          "the status is that of the answer",
          {sent, outcome, std::to_string(result.http_status.value_or(0))});
  Require((result.outcome == Outcome::kDelivered) == result.error.empty(),
          "a POST that is not delivered has an error", {sent, outcome, result.error});
  Require(IsPrintableAscii(result.error), "an error is one line", {sent, result.error});
  Require(result.reached && (*result.reached >= Reached::kRequestSent || result.outcome == Outcome::kTimeout),
          "the request was sent", {sent, outcome});
  Require(endpoint_.requests() == 1 || result.outcome == Outcome::kTimeout, "one request came",
          {sent, outcome});
  Require(result.reached != Reached::kResponseStarted || !sent.empty(), "an answer has a byte", {outcome});

  Require(result.response_body.size() <= kKeptBytes, "no more of the body is kept than requested", {sent});
  Require(IsStrictUtf8(ToStorableText(result.response_body)), "what is stored of the body is UTF-8", {sent});
  Require(static_cast<std::size_t>(result.response_bytes) <= kMaxBodyBytes, "no more is read than 64 KiB",
          {outcome});
  Require(!result.response_truncated || static_cast<std::size_t>(result.response_bytes) == kMaxBodyBytes,
          "only the limit truncates", {outcome});
  if (final_response.has_head && !final_response.body_is_encoded && !final_response.is_doubtful) {
    Require(final_response.body.starts_with(result.response_body), "the body is what follows the head",
            {sent, outcome, result.error, result.response_body});
  }
}

}  // namespace
}  // namespace postcall::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto* const stage = new postcall::fuzz::Stage;
  stage->Run(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
