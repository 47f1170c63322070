// The endpoint's answers, and what the log says about each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"

namespace postcall::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace std::string_literals;  // NOLINT(google-build-using-namespace)

constexpr std::size_t kLimit = 64 * 1024;

TEST(Answer, A200IsDelivered) {
  HostileEndpoint endpoint;
  endpoint.Otherwise(Respond(200, "thanks"));
  Poster poster;
  const auto post = poster.Send(endpoint.Url("/hook"));
  EXPECT_EQ(post.fault, std::nullopt);
  const DeliveryResult& result = post.result;
  EXPECT_EQ(result.outcome, Outcome::kDelivered);
  EXPECT_EQ(result.reached, Reached::kResponseComplete);
  EXPECT_EQ(result.http_status, 200);
  EXPECT_EQ(result.error, "");
  EXPECT_EQ(result.response_body, "thanks");
  EXPECT_FALSE(result.response_truncated);
  EXPECT_EQ(result.remote_address, "127.0.0.1");
  EXPECT_EQ(result.connection_reused, false);
  EXPECT_EQ(result.certificate_ends_at, std::nullopt);
  EXPECT_EQ(result.request_bytes, 16);
  EXPECT_EQ(result.response_bytes, 6);
  EXPECT_EQ(result.times.lookup, std::nullopt);
  EXPECT_EQ(result.times.tls, std::nullopt);
  ASSERT_TRUE(result.times.connect && result.times.first_byte);
  EXPECT_LE(*result.times.connect + *result.times.first_byte, result.times.total);
  EXPECT_EQ(endpoint.ledger().RequestCount(), 1U);
}

TEST(Answer, AnyOther2xxIsDeliveredToo) {
  HostileEndpoint endpoint;
  endpoint.On("/204", Respond(204));
  endpoint.On("/299", Respond(299));
  Poster poster;
  EXPECT_EQ(poster.Send(endpoint.Url("/204")).result.outcome, Outcome::kDelivered);
  EXPECT_EQ(poster.Send(endpoint.Url("/299")).result.outcome, Outcome::kDelivered);
}

TEST(Answer, A500IsRejectedAndNotSentAgain) {
  HostileEndpoint endpoint;
  endpoint.Otherwise(Respond(500, "no"));
  Poster poster;
  const DeliveryResult result = poster.Send(endpoint.Url()).result;
  EXPECT_EQ(result.outcome, Outcome::kRejected);
  EXPECT_EQ(result.reached, Reached::kResponseComplete);
  EXPECT_EQ(result.http_status, 500);
  EXPECT_EQ(result.response_body, "no");
  EXPECT_EQ(result.error, "The endpoint answered with status 500.");
  EXPECT_EQ(endpoint.ledger().RequestCount(), 1U);
}

TEST(Answer, ARedirectIsRejectedAndNotFollowed) {
  HostileEndpoint endpoint;
  endpoint.On("/from", RedirectTo(endpoint.Url("/to"), 307));
  Poster poster;
  const DeliveryResult result = poster.Send(endpoint.Url("/from")).result;
  EXPECT_EQ(result.outcome, Outcome::kRejected);
  EXPECT_EQ(result.http_status, 307);
  EXPECT_THAT(result.error, HasSubstr("redirects are not followed"));
  EXPECT_EQ(endpoint.ledger().RequestCount(), 1U);
}

TEST(Answer, AnInformationalStatusIsNotTheFinalOne) {
  HostileEndpoint endpoint;
  endpoint.On("/then-200", Send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n") + Respond(200));
  endpoint.On("/only", Send("HTTP/1.1 103 Early Hints\r\n\r\n") + Close());
  Poster poster;
  EXPECT_EQ(poster.Send(endpoint.Url("/then-200")).result.http_status, 200);
  const DeliveryResult result = poster.Send(endpoint.Url("/only")).result;
  EXPECT_EQ(result.outcome, Outcome::kNetworkError);
  EXPECT_EQ(result.reached, Reached::kResponseStarted);
  EXPECT_EQ(result.http_status, std::nullopt);
}

TEST(Answer, OnlyTheFirstBytesOfTheBodyAreKept) {
  HostileEndpoint endpoint;
  endpoint.Otherwise(Respond(200, "0123456789"));
  Poster poster({.response_body_bytes = 4});
  const DeliveryResult some = poster.Send(endpoint.Url()).result;
  EXPECT_EQ(some.response_body, "0123");
  EXPECT_EQ(some.response_bytes, 10);
  EXPECT_FALSE(some.response_truncated);
  EXPECT_EQ(Poster({.response_body_bytes = 0}).Send(endpoint.Url()).result.response_body, "");
}

TEST(Answer, ABodyOverTheLimitIsCutAndTheStatusDecides) {
  HostileEndpoint endpoint;
  endpoint.On("/200", Respond(200, std::string(100'000, 'x')));
  endpoint.On("/500", Respond(500, std::string(100'000, 'x')));
  endpoint.On("/chunked", EndlessBody());
  endpoint.On("/plain", EndlessPlainBody());
  Poster poster;
  for (const char* path : {"/200", "/chunked", "/plain"}) {
    const DeliveryResult result = poster.Send(endpoint.Url(path)).result;
    EXPECT_EQ(result.outcome, Outcome::kDelivered) << path;
    EXPECT_EQ(result.reached, Reached::kResponseStarted) << path;
    EXPECT_TRUE(result.response_truncated) << path;
    EXPECT_EQ(result.response_bytes, static_cast<std::int64_t>(kLimit)) << path;
    EXPECT_EQ(result.response_body.size(), 4096U) << path;
    EXPECT_EQ(result.error, "") << path;
  }
  const DeliveryResult rejected = poster.Send(endpoint.Url("/500")).result;
  EXPECT_EQ(rejected.outcome, Outcome::kRejected);
  EXPECT_TRUE(rejected.response_truncated);
}

TEST(Answer, ABodyOfExactlyTheLimitIsCompleteWhenItHasAContentLength) {
  HostileEndpoint endpoint;
  endpoint.On("/length", Respond(200, std::string(kLimit, 'x')));
  endpoint.On("/no-length",
              Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + std::string(kLimit, 'x')) + Hang());
  Poster poster;
  const DeliveryResult complete = poster.Send(endpoint.Url("/length")).result;
  EXPECT_EQ(complete.reached, Reached::kResponseComplete);
  EXPECT_FALSE(complete.response_truncated);
  EXPECT_EQ(complete.response_bytes, static_cast<std::int64_t>(kLimit));
  const DeliveryResult cut = poster.Send(endpoint.Url("/no-length")).result;
  EXPECT_EQ(cut.outcome, Outcome::kDelivered);
  EXPECT_TRUE(cut.response_truncated);
}

TEST(Answer, EndlessHeadersAreANetworkError) {
  HostileEndpoint endpoint;
  endpoint.On("/headers", EndlessHeaders());
  endpoint.On("/line", EndlessHeader());
  endpoint.On("/informational", EndlessInformational());
  endpoint.On("/trailers", EndlessTrailers());
  Poster poster;
  for (const char* path : {"/headers", "/line", "/informational", "/trailers"}) {
    const DeliveryResult result = poster.Send(endpoint.Url(path)).result;
    EXPECT_EQ(result.outcome, Outcome::kNetworkError) << path;
    EXPECT_EQ(result.reached, Reached::kResponseStarted) << path;
    EXPECT_LT(result.times.total, 2000) << path;
    EXPECT_NE(result.error, "") << path;
  }
}

TEST(Answer, HeadersUpToTheLimitAreFineAndBeyondAreNot) {
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nX: ";
  const auto of_size = [&](std::size_t size) {
    return Send(head + std::string(size - head.size() - 4, 'x') + "\r\n\r\n") + Close();
  };
  HostileEndpoint endpoint;
  endpoint.On("/fits", of_size(kLimit));
  endpoint.On("/does-not", of_size(kLimit + 1));
  Poster poster;
  EXPECT_EQ(poster.Send(endpoint.Url("/fits")).result.outcome, Outcome::kDelivered);
  const DeliveryResult result = poster.Send(endpoint.Url("/does-not")).result;
  EXPECT_EQ(result.outcome, Outcome::kNetworkError);
  EXPECT_EQ(result.error, "The answer had more than 64 KiB of headers.");
}

TEST(Answer, ThatNothingWasModifiedIsNoRedirect) {
  HostileEndpoint endpoint;
  endpoint.Otherwise(Send("HTTP/1.1 304 Not Modified\r\n\r\n"));
  Poster poster;
  const DeliveryResult result = poster.Send(endpoint.Url()).result;
  EXPECT_EQ(result.outcome, Outcome::kRejected);
  EXPECT_EQ(result.error, "The endpoint answered with status 304.");
}

TEST(Answer, WhatIsNotHttpIsANetworkError) {
  HostileEndpoint endpoint;
  endpoint.On("/101", Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"));
  endpoint.On("/garbage", Garbage());
  endpoint.On("/http09", Http09());
  endpoint.On("/http2", Http2Preface());
  Poster poster;
  for (const char* path : {"/garbage", "/http09", "/http2", "/101"}) {
    const DeliveryResult result = poster.Send(endpoint.Url(path)).result;
    EXPECT_EQ(result.outcome, Outcome::kNetworkError) << path;
    EXPECT_EQ(result.reached, Reached::kResponseStarted) << path;
    EXPECT_EQ(result.http_status, std::nullopt) << path;
    EXPECT_EQ(result.error, "The answer was not HTTP.") << path;
  }
}

// libcurl alone would read most of these lines as a 200.
TEST(Answer, WithoutAStatusLineThatSays2xxIsNoSuccess) {
  HostileEndpoint endpoint;
  Poster poster;
  for (const std::string& line :
       {"HTTP/x 500 No"s, "http/1.1 500 No"s, "HTTP/ 500 No"s, "HTTP/TTP/1.1 200 OK"s, "HTTP/1.1 2000 OK"s,
        "HTTP/1.1 20"s, "HTTP/1.1 +20 OK"s, "HTTP/1.1 -200 OK"s, "HTTP/1.1 200 O\0K"s}) {
    for (const std::string before :
         {"", "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 103 Hints\r\n\rX\r\n"}) {
      endpoint.On("/", Send(before + line + "\r\nContent-Length: 0\r\n\r\n"));
      const DeliveryResult result = poster.Send(endpoint.Url()).result;
      EXPECT_EQ(result.outcome, Outcome::kNetworkError) << before << line;
      EXPECT_EQ(result.reached, Reached::kResponseStarted) << before << line;
      EXPECT_EQ(result.http_status, std::nullopt) << before << line;
      EXPECT_EQ(result.error, "The answer was not HTTP.") << before << line;
    }
  }
  for (const char* line : {"HTTP/1.1 200 OK", "HTTP/1.0 200", "HTTP/2 200", "HTTP/1.1 200\tOK"}) {
    endpoint.On("/", Send(std::string(line) + "\r\nContent-Length: 0\r\nHTTP/x 500: no\r\n\r\n"));
    EXPECT_EQ(poster.Send(endpoint.Url()).result.outcome, Outcome::kDelivered) << line;
  }
  // libcurl 8 is stricter than 7. Both outcomes are right, and no other is.
  endpoint.On("/", Send("HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"));
  const DeliveryResult two_spaces = poster.Send(endpoint.Url()).result;
  if (two_spaces.outcome != Outcome::kDelivered) {
    EXPECT_EQ(two_spaces.outcome, Outcome::kNetworkError);
    EXPECT_EQ(two_spaces.error, "The answer was not HTTP.");
  }
}

TEST(Answer, ThatCannotBeReadIsReportedAsMalformedAndNotAsALostConnection) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::vector<std::string> answers = {
      chunked + "zz\r\nab\r\n0\r\n\r\n",        // no length
      chunked + "\r\nab\r\n0\r\n\r\n",          // an empty length
      chunked + "11111111111111111\r\nab\r\n",  // a length too large for any number type
      chunked + "2\r\nabX\r\n0\r\n\r\n",        // more than the length says
      chunked + "2\r\nab\r\n\x01\xff\r\n",      // no second length
      "HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\nab",
  };
  for (const bool tls : {false, true}) {
    EndpointOptions options;
    if (tls) options.tls = TlsOptions{Authority().Issue({"127.0.0.1"})};
    HostileEndpoint endpoint(options);
    Poster poster;
    for (const std::string& answer : answers) {
      endpoint.Otherwise(Send(answer) + Hang());
      const DeliveryResult result = poster.Send(endpoint.Url()).result;
      EXPECT_EQ(result.outcome, Outcome::kNetworkError) << answer;
      EXPECT_EQ(result.reached, Reached::kResponseStarted) << answer;
      EXPECT_THAT(result.error, StartsWith("The answer was malformed: ")) << answer;
      EXPECT_TRUE(std::ranges::all_of(result.error, [](char c) { return c >= ' ' && c <= '~'; }))
          << result.error;
      EXPECT_LT(result.times.total, 2000) << answer;
    }
    endpoint.Otherwise(Send(chunked + "5\r\nab") + Reset());
    const DeliveryResult lost = poster.Send(endpoint.Url()).result;
    EXPECT_EQ(lost.error, "The connection was lost before the answer was complete.") << tls;
  }
}

TEST(Answer, AConnectionThatBreaksIsANetworkErrorThatSaysHowFarTheDeliveryGot) {
  HostileEndpoint endpoint;
  endpoint.On("/reset", Reset());
  endpoint.On("/close", Close());
  endpoint.On("/half-a-line-close", Send("HTTP/1.") + Wait(50ms) + Close());
  endpoint.On("/half-a-line-reset", Send("HTTP/1.") + Wait(50ms) + Reset());
  endpoint.On("/head-reset", Send("HTTP/1.1 200 OK\r\n") + Wait(50ms) + Reset());
  endpoint.On("/body-reset", Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab") + Wait(50ms) + Reset());
  endpoint.On("/body-short", BodyShorterThanPromised());
  endpoint.On("/head-close", Send("HTTP/1.1 200 OK\r\nContent-Type: te") + Close());
  endpoint.On("/status-line-close", Send("HTTP/1.1 200 OK\r\n") + Close());
  Poster poster;
  for (const char* path : {"/reset", "/close"}) {
    const DeliveryResult result = poster.Send(endpoint.Url(path)).result;
    EXPECT_EQ(result.outcome, Outcome::kNetworkError) << path;
    EXPECT_EQ(result.reached, Reached::kRequestSent) << path;
    EXPECT_EQ(result.error, "The connection was lost before an answer came.") << path;
    EXPECT_EQ(result.remote_address, "127.0.0.1") << path;
  }
  for (const char* path : {"/half-a-line-close", "/half-a-line-reset", "/head-reset", "/head-close",
                           "/status-line-close", "/body-reset", "/body-short"}) {
    const DeliveryResult result = poster.Send(endpoint.Url(path)).result;
    EXPECT_EQ(result.outcome, Outcome::kNetworkError) << path;
    EXPECT_EQ(result.reached, Reached::kResponseStarted) << path;
    EXPECT_TRUE(result.times.first_byte) << path;
    EXPECT_NE(result.error, "") << path;
  }
  EXPECT_EQ(poster.Send(endpoint.Url("/body-reset")).result.http_status, 200);
  EXPECT_EQ(poster.Send(endpoint.Url("/body-reset")).result.response_body, "ab");
}

TEST(Answer, AResetAtAcceptIsANetworkErrorOrAConnectError) {
  HostileEndpoint endpoint;
  endpoint.OnConnection({.at_accept = Reset()});
  Poster poster;
  const DeliveryResult result = poster.Send(endpoint.Url()).result;
  EXPECT_TRUE(result.outcome == Outcome::kNetworkError || result.outcome == Outcome::kConnectError);
  EXPECT_EQ(endpoint.ledger().RequestCount(), 0U);
}

TEST(Answer, AnAnswerBeforeTheRequestWasReadIsAnAnswer) {
  HostileEndpoint endpoint;
  endpoint.On("/", Respond(413, "too much", {{"Connection", "close"}}) + Close(), AnswerAt::kHeadEnd);
  Poster poster;
  const DeliveryResult result =
      poster.Send(Request(endpoint.Url(), R"({"x":")" + std::string(300'000, 'x') + "\"}")).result;
  // The rest of the request may cause a reset, and then the answer is lost.
  EXPECT_TRUE(result.outcome == Outcome::kRejected || result.outcome == Outcome::kNetworkError);
  EXPECT_EQ(result.http_status.value_or(413), 413);
}

}  // namespace
}  // namespace postcall::test
