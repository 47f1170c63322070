#include "tests/support/hostile_endpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

namespace postcall::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

// A blocking client that shows the bytes unchanged.
class Client {
 public:
  explicit Client(const HostileEndpoint& endpoint, const std::string& address = "127.0.0.1") {
    socket_.connect({asio::ip::make_address(address), endpoint.port()});
  }

  void Send(const std::string& bytes) { asio::write(socket_, asio::buffer(bytes)); }

  // Reads until the peer ends the connection, or the text has this end or this length.
  std::string Read(const std::string& ending, std::size_t longest = std::string::npos) {
    std::string text;
    std::array<char, 4096> piece{};
    while (text.size() < longest && (ending.empty() || !text.ends_with(ending))) {
      const std::size_t size = socket_.read_some(asio::buffer(piece), failed_);
      if (failed_) break;
      text.append(piece.data(), size);
    }
    return text;
  }
  std::string ReadToEnd() { return Read(""); }
  error_code failed() const { return failed_; }
  tcp::socket& socket() { return socket_; }

 private:
  asio::io_context loop_;
  tcp::socket socket_{loop_};
  error_code failed_;
};

std::string Post(const std::string& target, const std::string& body = R"({"callId":"c-1"})") {
  return "POST " + target + " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

TEST(HostileEndpoint, AnswersRequestsOfAConnectionAndKeepsThemInTheLedger) {
  HostileEndpoint endpoint;
  endpoint.On("/hook", Respond(503, "later", {{"Retry-After", "5"}}));
  Client client(endpoint);
  client.Send(Post("/hook?a=1", R"({"callId":"a \"quoted\" one"})"));
  EXPECT_EQ(client.Read("later"),
            "HTTP/1.1 503 Scripted\r\nRetry-After: 5\r\nContent-Length: 5\r\n\r\nlater");
  client.Send(Post("/else"));
  EXPECT_THAT(client.Read("ok"), StartsWith("HTTP/1.1 200 OK\r\n"));

  ASSERT_TRUE(endpoint.ledger().WaitFor(
      [](const auto& requests, const auto&) { return requests.size() == 2 && requests[1].answer_ended_at; },
      seconds(20)));
  const auto requests = endpoint.ledger().Requests();
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].target, "/hook?a=1");
  EXPECT_EQ(requests[0].path, "/hook");
  EXPECT_EQ(requests[0].call_id, "a \"quoted\" one");
  EXPECT_EQ(requests[0].Header("HOST"), "test");
  EXPECT_EQ(requests[0].answer, "503");
  EXPECT_EQ(requests[0].connection, requests[1].connection);
  EXPECT_EQ(requests[1].on_connection, 1u);
  EXPECT_EQ(requests[1].body, R"({"callId":"c-1"})");
  EXPECT_LE(requests[0].head_at, *requests[0].complete_at);
  EXPECT_LE(*requests[0].complete_at, *requests[0].answer_began_at);
  EXPECT_EQ(endpoint.ledger().RequestsPerCall().at("c-1"), 1u);
}

TEST(HostileEndpoint, ChoosesByTheRequest) {
  HostileEndpoint endpoint;
  // Like a server that ends a connection with its second request.
  endpoint.Otherwise(
      [](const RequestEntry& request) { return request.on_connection < 1 ? Respond(200) : Close(); });
  Client client(endpoint);
  client.Send(Post("/"));
  EXPECT_THAT(client.Read("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK"));
  client.Send(Post("/"));
  EXPECT_EQ(client.ReadToEnd(), "");
  EXPECT_EQ(client.failed(), asio::error::eof);
}

TEST(HostileEndpoint, ResetsAtAcceptAndAfterTheRequestAndInsideTheAnswer) {
  HostileEndpoint endpoint;
  endpoint.On("/after", Reset());
  endpoint.On("/inside",
              Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab") + Wait(milliseconds(50)) + Reset());
  Client after(endpoint);
  after.Send(Post("/after"));
  EXPECT_EQ(after.ReadToEnd(), "");
  EXPECT_EQ(after.failed(), asio::error::connection_reset);
  Client inside(endpoint);
  inside.Send(Post("/inside"));
  EXPECT_THAT(inside.ReadToEnd(), EndsWith("\r\n\r\nab"));
  EXPECT_EQ(inside.failed(), asio::error::connection_reset);

  endpoint.OnConnection(ConnectionScript{.at_accept = Reset()});
  Client at_accept(endpoint);
  EXPECT_EQ(at_accept.ReadToEnd(), "");
  EXPECT_EQ(at_accept.failed(), asio::error::connection_reset);
  EXPECT_TRUE(endpoint.ledger().WaitFor(
      [](const auto&, const auto& connections) {
        return connections.size() == 3 &&
               std::ranges::all_of(connections, [](auto& c) { return c.closed_at.has_value(); });
      },
      seconds(20)));
}

TEST(HostileEndpoint, HangsAndNoticesWhenItsPeerCloses) {
  HostileEndpoint endpoint;
  endpoint.On("/hang", Hang());
  {
    Client client(endpoint);
    client.Send(Post("/hang"));
    ASSERT_TRUE(endpoint.ledger().WaitForRequests(1));
    EXPECT_FALSE(endpoint.ledger().Connections()[0].closed_at);
  }
  EXPECT_TRUE(endpoint.ledger().WaitFor(
      [](const auto&, const auto& connections) { return connections[0].closed_at.has_value(); },
      seconds(20)));
  EXPECT_EQ(endpoint.ledger().Requests()[0].answer, "hang");
  EXPECT_FALSE(endpoint.ledger().Requests()[0].answer_began_at);
}

TEST(HostileEndpoint, LeavesTheBodyInTheSocketWhenToldToHangAtTheHead) {
  HostileEndpoint endpoint;
  endpoint.Otherwise(Hang(), AnswerAt::kHeadEnd);
  Client client(endpoint);
  client.socket().non_blocking(true);
  const std::string bytes = Post("/", std::string(std::size_t{64} << 20, 'x'));
  std::size_t sent = 0;
  error_code failed;
  ASSERT_NO_THROW(sent += client.socket().write_some(asio::buffer(bytes)));
  ASSERT_TRUE(endpoint.ledger().WaitFor(
      [](const auto& requests, const auto&) { return requests.size() == 1; }, seconds(20)));
  while (!failed) sent += client.socket().write_some(asio::buffer(bytes) + sent, failed);
  EXPECT_EQ(failed, asio::error::would_block);
  EXPECT_LT(sent, bytes.size());
  EXPECT_FALSE(endpoint.ledger().Requests()[0].complete);
}

TEST(HostileEndpoint, AnswersBeforeTheRequest) {
  HostileEndpoint endpoint;
  endpoint.OnConnection({.established = Respond(200, "early")});
  endpoint.Otherwise(Nothing());
  Client client(endpoint);
  EXPECT_THAT(client.Read("early"), EndsWith("early"));
  client.Send(Post("/"));
  EXPECT_TRUE(endpoint.ledger().WaitForRequests(1));
}

TEST(HostileEndpoint, DripsByteByByte) {
  HostileEndpoint endpoint;
  endpoint.On("/drip", Drip("HTTP/1.1 200 OK\r\n\r\n", milliseconds(5)) + Close());
  Client client(endpoint);
  const auto began = Steady::now();
  client.Send(Post("/drip"));
  EXPECT_EQ(client.ReadToEnd(), "HTTP/1.1 200 OK\r\n\r\n");
  EXPECT_GE(Steady::now() - began, milliseconds(5 * 19));
}

TEST(HostileEndpoint, SendsWithoutEnd) {
  HostileEndpoint endpoint;
  const std::vector<std::pair<std::string, Script>> endless = {
      {"/header", EndlessHeader()},     {"/headers", EndlessHeaders()},   {"/body", EndlessBody()},
      {"/plain", EndlessPlainBody()},   {"/trailers", EndlessTrailers()}, {"/chunk", EndlessChunkExtension()},
      {"/103", EndlessInformational()},
  };
  for (const auto& [path, script] : endless) {
    endpoint.On(path, script);
    Client client(endpoint);
    client.Send(Post(path));
    EXPECT_GE(client.Read("", 300000).size(), 300000u) << path;
  }
}

TEST(HostileEndpoint, SendsAnswersThatAreNotHttp11) {
  HostileEndpoint endpoint;
  endpoint.On("/garbage", Garbage());
  endpoint.On("/09", Http09());
  endpoint.On("/2", Http2Preface());
  endpoint.On("/short", BodyShorterThanPromised());
  endpoint.On("/redirect", RedirectTo("http://elsewhere/"));
  const auto answer = [&](const std::string& path, std::size_t longest) {
    Client client(endpoint);
    client.Send(Post(path));
    return client.Read("", longest);
  };
  EXPECT_THAT(answer("/garbage", std::string::npos), EndsWith("\xff\xfe"));
  EXPECT_THAT(answer("/09", std::string::npos), StartsWith("<html>"));
  EXPECT_EQ(answer("/2", 9), std::string("\0\0\0\4\0\0\0\0\0", 9));
  EXPECT_THAT(answer("/short", std::string::npos), EndsWith("Content-Length: 100\r\n\r\nok"));
  EXPECT_THAT(answer("/redirect", 20), HasSubstr("302"));
  Client nonsense(endpoint);
  nonsense.Send("\x16\x03\x01 as a TLS client would begin");
  EXPECT_THAT(nonsense.ReadToEnd(), StartsWith("HTTP/1.1 400"));
}

TEST(HostileEndpoint, AcceptsThousandsOfConnections) {
  constexpr std::size_t kConnections = 2000;
  HostileEndpoint endpoint;
  asio::io_context loop;
  std::vector<tcp::socket> sockets;
  for (std::size_t i = 0; i < kConnections; ++i) {
    sockets.emplace_back(loop).connect({asio::ip::make_address("127.0.0.1"), endpoint.port()});
  }
  for (tcp::socket& socket : sockets) asio::write(socket, asio::buffer(Post("/")));
  EXPECT_TRUE(endpoint.ledger().WaitForRequests(kConnections, seconds(60)));
  EXPECT_EQ(endpoint.ledger().ConnectionCount(), kConnections);
}

TEST(HostileEndpoint, ClosesOpenConnectionsAndStopsListening) {
  HostileEndpoint endpoint;
  Client client(endpoint);
  client.Send(Post("/"));
  EXPECT_THAT(client.Read("ok"), EndsWith("ok"));
  endpoint.CloseConnections();
  EXPECT_EQ(client.ReadToEnd(), "");
  Client again(endpoint);
  endpoint.StopListening();
  EXPECT_THROW(Client{endpoint}, boost::system::system_error);
}

TEST(HostileEndpoint, ListensOnIpv6) {
  HostileEndpoint endpoint({.address = "::1"});
  Client client(endpoint, "::1");
  client.Send(Post("/"));
  EXPECT_THAT(client.Read("ok"), EndsWith("ok"));
  EXPECT_THAT(endpoint.Url("/x"), StartsWith("http://[::1]:"));
}

}  // namespace
}  // namespace postcall::test
