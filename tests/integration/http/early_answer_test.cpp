// An endpoint may answer before it has read the request. Once its answer is complete the delivery is over
// (CONTRACT §2), however much of the request is still unsent.
#include <gtest/gtest.h>

#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"

namespace postcall::test {
namespace {

// The body is larger than all socket buffers between client and endpoint.
http::PostRequest LargeRequest(const std::string& url) { return Request(url, std::string(16 << 20, 'x')); }

struct EarlyAnswer {
  const char* name;
  Script script;
  int status;
};

void PrintTo(const EarlyAnswer& answer, std::ostream* out) { *out << answer.name; }

class Early : public testing::TestWithParam<EarlyAnswer> {};

TEST_P(Early, AnswerEndsTheDeliveryAtOnce) {
  HostileEndpoint endpoint;
  endpoint.On("/early", GetParam().script, AnswerAt::kHeadEnd);
  Poster poster;
  const DeliveryResult result = poster.Send(LargeRequest(endpoint.Url("/early"))).result;
  EXPECT_EQ(result.outcome, GetParam().status / 100 == 2 ? Outcome::kDelivered : Outcome::kRejected)
      << result.error;
  EXPECT_EQ(result.http_status, GetParam().status);
  EXPECT_EQ(result.reached, Reached::kResponseComplete);
  EXPECT_LT(result.times.total, 2000);
  EXPECT_EQ(endpoint.ledger().RequestCount(), 1U);
  // That connection has half a request on it.
  EXPECT_EQ(poster.Send(endpoint.Url("/next")).result.connection_reused, false);
}

const std::string kChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";

INSTANTIATE_TEST_SUITE_P(
    Answers, Early,
    testing::Values(EarlyAnswer{"WithALength", Respond(200, "ok") + Hang(), 200},
                    EarlyAnswer{"Chunked", Send(kChunked) + Hang(), 200},
                    EarlyAnswer{"WithoutABody", Send("HTTP/1.1 204 No Content\r\n\r\n") + Hang(), 204},
                    EarlyAnswer{"Empty", Respond(200, "") + Hang(), 200},
                    EarlyAnswer{"ARefusal", Respond(413, "too much") + Hang(), 413},
                    EarlyAnswer{"ThenTheEnd", Respond(200, "ok") + Wait(300ms) + Close(), 200}),
    [](const auto& test) { return test.param.name; });

TEST(HalfAnAnswer, IsNoAnswerHoweverMuchIsStillUnsent) {
  HostileEndpoint endpoint;
  endpoint.On("/half", Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha") + Hang(), AnswerAt::kHeadEnd);
  Poster poster({.timeout = 1000ms});
  const DeliveryResult result = poster.Send(LargeRequest(endpoint.Url("/half"))).result;
  EXPECT_EQ(result.outcome, Outcome::kTimeout);
  EXPECT_EQ(result.reached, Reached::kResponseStarted);
}

// At some point no more of the answer is read, so that only sending is left to do.
TEST(AnEndlessAnswer, IsNoAnswerHoweverMuchIsStillUnsent) {
  HostileEndpoint endpoint;
  endpoint.On("/endless", EndlessChunkExtension(), AnswerAt::kHeadEnd);
  Poster poster({.timeout = 1000ms});
  const DeliveryResult result = poster.Send(LargeRequest(endpoint.Url("/endless"))).result;
  EXPECT_EQ(result.outcome, Outcome::kTimeout);
  EXPECT_EQ(result.reached, Reached::kResponseStarted);
}

TEST(AnInterimAnswer, IsNotTheAnswer) {
  HostileEndpoint endpoint;
  endpoint.On("/interim", Send("HTTP/1.1 103 Early Hints\r\n\r\n"), AnswerAt::kHeadEnd);
  Poster poster({.timeout = 1000ms});
  const DeliveryResult result = poster.Send(LargeRequest(endpoint.Url("/interim"))).result;
  EXPECT_EQ(result.outcome, Outcome::kTimeout);
  EXPECT_EQ(result.http_status, std::nullopt) << "the endpoint reads the body and sends nothing more";
}

}  // namespace
}  // namespace postcall::test
