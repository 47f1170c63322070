#include "dispatcher/http/response.h"

#include <gtest/gtest.h>

#include <string>

namespace postcall::test {
namespace {

using http::kMaxBodyBytes;
using http::kMaxHeaderBytes;
using http::ResponseState;

constexpr std::size_t kKept = 10;
constexpr std::int64_t kNoLength = -1;

class Response : public testing::Test {
 protected:
  // A response with a complete head.
  void ReadHead(long status = 200) {
    response.Expect();
    EXPECT_TRUE(response.OnHeader("HTTP/1.1 " + std::to_string(status) + " Any\r\n", status));
    EXPECT_TRUE(response.OnHeader("\r\n", status));
  }
  ResponseState state() const { return response.facts().state; }

  http::Reachability reachability;
  http::Response response{reachability, kKept};
};

TEST_F(Response, IsReadOnlyAfterTheRequestIsSent) {
  EXPECT_FALSE(response.AwaitsFirstByte());
  EXPECT_FALSE(response.OnHeader("HTTP/1.1 200 OK\r\n", 200));
  EXPECT_FALSE(response.OnBody("early", kNoLength));
  EXPECT_EQ(response.facts().body_bytes, 0U);
  response.Expect();
  EXPECT_TRUE(response.AwaitsFirstByte());
}

TEST_F(Response, NotesItsFirstByteOnceAndThatTheNetworkAnswers) {
  response.Expect();
  EXPECT_EQ(reachability.answered_at(), SteadyTime{});
  response.NoteFirstByte();
  const auto first = response.facts().first_byte_at;
  ASSERT_TRUE(first);
  EXPECT_EQ(reachability.answered_at(), *first);
  EXPECT_FALSE(response.AwaitsFirstByte());
  response.NoteFirstByte();
  EXPECT_EQ(response.facts().first_byte_at, first);
}

TEST_F(Response, HasAStatusLineThenHeadersThenABody) {
  response.Expect();
  EXPECT_FALSE(response.HasStatusLine());
  EXPECT_TRUE(response.OnHeader("HTTP/1.1 200 OK\r\n", 200));
  EXPECT_TRUE(response.HasStatusLine());
  EXPECT_EQ(state(), ResponseState::kHeaders);
  EXPECT_TRUE(response.OnHeader("Content-Length: 2\r\n", 200));
  EXPECT_TRUE(response.OnHeader("\r\n", 200));
  EXPECT_EQ(state(), ResponseState::kBody);
  EXPECT_TRUE(response.OnBody("ok", 2));
  EXPECT_EQ(response.facts().body, "ok");
}

TEST_F(Response, MayHaveTrailersThatEndLikeAHead) {
  ReadHead();
  EXPECT_TRUE(response.OnBody("ok", kNoLength));
  EXPECT_TRUE(response.OnHeader("X-Sum: 1\r\n", 200));
  EXPECT_TRUE(response.OnHeader("\r\n", 200));
  EXPECT_EQ(state(), ResponseState::kBody);
}

TEST_F(Response, FollowsAnInterimResponseWithAStatusLineOfItsOwn) {
  ReadHead(103);
  EXPECT_EQ(state(), ResponseState::kStatusLine);
  EXPECT_FALSE(response.HasStatusLine());
  EXPECT_FALSE(response.OnHeader("Link: </a.css>\r\n", 103));
  EXPECT_EQ(state(), ResponseState::kNotHttp);
}

TEST_F(Response, IsNotHttpWithoutAStatusLine) {
  for (const auto* line :
       {"HTTP/1.1\r\n", "http/1.1 200 OK\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 2000 OK\r\n",
        "HTTP/11.1 200 OK\r\n", "HTTP/1.11 200 OK\r\n", "HTTP/1.1-200 OK\r\n", "220 hello\r\n", "\r\n", ""}) {
    http::Response other{reachability, kKept};
    other.Expect();
    EXPECT_FALSE(other.OnHeader(line, 200)) << line;
    EXPECT_EQ(other.facts().state, ResponseState::kNotHttp) << line;
    EXPECT_FALSE(other.HasStatusLine()) << line;
  }
  for (const auto* line :
       {"HTTP/1.1 200 OK\r\n", "HTTP/1.0 404\r\n", "HTTP/2 200\n", "HTTP/1.1 \t 200 OK\r\n"}) {
    http::Response other{reachability, kKept};
    other.Expect();
    EXPECT_TRUE(other.OnHeader(line, 200)) << line;
  }
}

TEST_F(Response, EndsWhenAnotherProtocolBegins) {
  response.Expect();
  EXPECT_TRUE(response.OnHeader("HTTP/1.1 101 Switching Protocols\r\n", 101));
  EXPECT_FALSE(response.OnHeader("\r\n", 101));
  EXPECT_EQ(state(), ResponseState::kSwitched);
  EXPECT_FALSE(response.OnBody("frame", kNoLength));
}

TEST_F(Response, HasSixtyFourKibOfHeadersInterimHeadsAndTrailersTogether) {
  const std::string half = "X: " + std::string(kMaxHeaderBytes / 2 - 100, 'x') + "\r\n";
  response.Expect();
  EXPECT_TRUE(response.OnHeader("HTTP/1.1 103 Early Hints\r\n", 103));
  EXPECT_TRUE(response.OnHeader(half, 103));
  EXPECT_TRUE(response.OnHeader("\r\n", 103));
  EXPECT_TRUE(response.OnHeader("HTTP/1.1 200 OK\r\n", 200));
  EXPECT_TRUE(response.OnHeader("\r\n", 200));
  EXPECT_TRUE(response.OnBody("ok", kNoLength));
  EXPECT_TRUE(response.OnHeader(half, 200));
  EXPECT_EQ(state(), ResponseState::kBody);
  EXPECT_FALSE(response.OnHeader("X: " + std::string(200, 'x') + "\r\n", 200));
  EXPECT_EQ(state(), ResponseState::kTooManyHeaders);
  EXPECT_TRUE(response.HasStatusLine());
}

TEST_F(Response, IsCutAtSixtyFourKibOfBody) {
  ReadHead();
  EXPECT_TRUE(response.OnBody(std::string(kMaxBodyBytes - 1, 'x'), kNoLength));
  EXPECT_FALSE(response.OnBody("yz", kNoLength));
  EXPECT_EQ(state(), ResponseState::kBodyCut);
  EXPECT_EQ(response.facts().body_bytes, kMaxBodyBytes);
  EXPECT_TRUE(response.HasStatusLine());
}

TEST_F(Response, IsCompleteWhenItsBodyIsExactlyAsLongAsTheLimitAndWasAnnounced) {
  ReadHead();
  EXPECT_TRUE(response.OnBody(std::string(kMaxBodyBytes, 'x'), kMaxBodyBytes));
  EXPECT_EQ(state(), ResponseState::kBody);
}

TEST_F(Response, KeepsTheFirstBytesOfItsBody) {
  ReadHead();
  EXPECT_TRUE(response.OnBody("01234567", kNoLength));
  EXPECT_TRUE(response.OnBody("89abcdef", kNoLength));
  EXPECT_EQ(response.facts().body, "0123456789");
  EXPECT_EQ(response.facts().body_bytes, 16U);
}

TEST_F(Response, IsCompleteBeforeTheRequestOnlyWhenItsHeadIsComplete) {
  response.Expect();
  response.OnNothingLeftToRead();
  EXPECT_EQ(state(), ResponseState::kStatusLine);
  EXPECT_TRUE(response.OnHeader("HTTP/1.1 413 Too Large\r\n", 413));
  response.OnNothingLeftToRead();
  EXPECT_EQ(state(), ResponseState::kHeaders);
  EXPECT_TRUE(response.OnHeader("\r\n", 413));
  response.OnNothingLeftToRead();
  EXPECT_EQ(state(), ResponseState::kComplete);
}

// For libcurl such a response is final.
TEST_F(Response, MayHaveABodyAfterAStatusBelowOneHundred) {
  response.Expect();
  EXPECT_TRUE(response.OnHeader("HTTP/1.1 099 Odd\r\n", 99));
  EXPECT_TRUE(response.OnHeader("\r\n", 99));
  EXPECT_EQ(state(), ResponseState::kStatusLine);
  EXPECT_TRUE(response.OnBody("ok", kNoLength));
  EXPECT_FALSE(response.OnBody(std::string(kMaxBodyBytes, 'x'), kNoLength));
  EXPECT_EQ(state(), ResponseState::kBodyCut);
}

}  // namespace
}  // namespace postcall::test
