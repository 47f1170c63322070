// An endpoint may answer before it has read the request. Once its answer is complete the delivery is over
// (CONTRACT §2), however much is still to be sent.
#include <gtest/gtest.h>

#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"

namespace postcall::test {
namespace {

// More than all socket buffers on the way hold.
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
  // Half a request is on that connection.
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

TEST(HalfAnAnswer, IsNoAnswerHoweverMuchIsStillToBeSent) {
  HostileEndpoint endpoint;
  endpoint.On("/half", Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha") + Hang(), AnswerAt::kHeadEnd);
  Poster poster({.timeout = 1000ms});
  const DeliveryResult result = poster.Send(LargeRequest(endpoint.Url("/half"))).result;
  EXPECT_EQ(result.outcome, Outcome::kTimeout);
  EXPECT_EQ(result.reached, Reached::kResponseStarted);
}

// Of which no more is read at some point, so that to send is all that is left.
TEST(AnEndlessAnswer, IsNoAnswerHoweverMuchIsStillToBeSent) {
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
  EXPECT_EQ(result.http_status, std::nullopt) << "the endpoint reads the body and says nothing more";
}

}  // namespace
}  // namespace postcall::test
