#include "dispatcher/admin/admin_server.h"

#include <gmock/gmock.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "tests/integration/admin/http_client.h"

namespace postcall::admin {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AnyOf;
using ::testing::HasSubstr;

class AdminServerTest : public ::testing::Test {
 protected:
  AdminServerTest() { options_.listen = "127.0.0.1:0"; }

  void Start() {
    server_ = std::make_unique<AdminServer>(options_, Probes{.metrics = [this] { return metrics_(); },
                                                             .health = [this] { return health_(); },
                                                             .ready = [this] { return ready_(); }});
  }

  HttpResponse Get(const std::string& target, const std::string& host = "localhost") {
    return HttpClient(server_->address()).Get(target, host);
  }

  AdminOptions options_;
  std::function<std::string()> metrics_ = [] { return std::string("postcall_in_flight 3\n"); };
  std::function<Health()> health_ = [] { return Health{}; };
  std::function<Readiness()> ready_ = [] { return Readiness{}; };
  std::unique_ptr<AdminServer> server_;
};

TEST_F(AdminServerTest, ServesMetricsAsPrometheusText) {
  Start();
  const HttpResponse response = Get("/metrics");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "postcall_in_flight 3\n");
  EXPECT_EQ(response.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(Get("/metrics?name[]=up").body, "postcall_in_flight 3\n");
}

TEST_F(AdminServerTest, IsHealthyUntilTheProbeSaysWhyNot) {
  Start();
  EXPECT_EQ(Get("/healthz").status, 200);
  health_ = [] { return Health{.healthy = false, .reason = "thread \"claim\" has not turned for 40 s"}; };
  const HttpResponse response = Get("/healthz");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "thread \"claim\" has not turned for 40 s\n");
}

TEST_F(AdminServerTest, IsReadyUntilTheProbeSaysWhyNot) {
  Start();
  EXPECT_EQ(Get("/readyz").status, 200);
  ready_ = [] { return Readiness{.ready = false, .reason = "draining"}; };
  const HttpResponse response = Get("/readyz");
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.body, "draining\n");
  EXPECT_THAT(response.headers.at("content-type"), HasSubstr("text/plain"));
}

TEST_F(AdminServerTest, HeadHasTheLengthOfTheBodyAndNoBody) {
  Start();
  HttpClient client(server_->address());
  client.Send("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const HttpResponse response = client.Receive(true);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.headers.at("content-length"), "21");
  // If there were a body, it would be read as the start of this answer.
  EXPECT_EQ(client.Get("/healthz").status, 200);
}

TEST_F(AdminServerTest, OtherPathsAreNotFound) {
  Start();
  for (const char* target : {"/", "/metricsx", "/metrics/", "/../metrics", "//metrics", "/%6detrics"}) {
    EXPECT_EQ(Get(target).status, 404) << target;
  }
}

TEST_F(AdminServerTest, OtherMethodsAreNotAllowed) {
  Start();
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "FROB"}) {
    HttpClient client(server_->address());
    client.Send(std::string(method) + " /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    const HttpResponse response = client.Receive();
    EXPECT_EQ(response.status, 405) << method;
    EXPECT_EQ(response.headers.at("allow"), "GET, HEAD");
  }
}

TEST_F(AdminServerTest, KeepsAConnectionAliveAndClosesItWhenAsked) {
  Start();
  HttpClient client(server_->address());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(client.Get("/metrics").status, 200);
  client.Send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.Receive().headers.at("connection"), "close");
  EXPECT_TRUE(client.ClosedByServer());
}

TEST_F(AdminServerTest, OldClientWithoutHostIsServedOnce) {
  Start();
  HttpClient client(server_->address());
  client.Send("GET /healthz HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 200);
  EXPECT_TRUE(client.ClosedByServer());
}

TEST_F(AdminServerTest, AnswersPipelinedRequestsInTheirOrder) {
  Start();
  HttpClient client(server_->address());
  const std::string host = " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  client.Send("GET /metrics" + host + "GET /nowhere" + host + "HEAD /healthz" + host + "GET /readyz" + host);
  EXPECT_EQ(client.Receive().body, "postcall_in_flight 3\n");
  EXPECT_EQ(client.Receive().status, 404);
  EXPECT_EQ(client.Receive(true).status, 200);
  EXPECT_EQ(client.Receive().body, "ready\n");
}

TEST_F(AdminServerTest, RequestMayArriveInPieces) {
  Start();
  HttpClient client(server_->address());
  for (const char piece : std::string("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    client.Send({piece});
  EXPECT_EQ(client.Receive().status, 200);
}

TEST_F(AdminServerTest, RefusesForeignHostsOnLoopback) {
  Start();
  const std::string port = server_->address().substr(server_->address().rfind(':'));
  for (const char* host : {"localhost", "127.0.0.1", "[::1]", "LocalHost"}) {
    EXPECT_EQ(Get("/metrics", host).status, 200) << host;
    EXPECT_EQ(Get("/metrics", host + port).status, 200) << host << port;
  }
  for (const std::string host :
       {"attacker.example", "localhost.attacker.example", "127.0.0.1.nip.io", "evil"}) {
    EXPECT_EQ(Get("/metrics", host + port).status, 421) << host;
    EXPECT_EQ(Get("/nowhere", host).status, 421) << host;
  }
}

TEST_F(AdminServerTest, AdmitsTheLiteralListenAddressAsHost) {
  options_.listen = "127.0.0.9:0";
  Start();
  EXPECT_EQ(Get("/metrics", server_->address()).status, 200);
  EXPECT_EQ(Get("/metrics", "127.0.0.8").status, 421);
}

TEST_F(AdminServerTest, AdmitsEveryHostOnAnAddressThatOthersReach) {
  options_.listen = "0.0.0.0:0";
  Start();
  const std::string port = server_->address().substr(server_->address().rfind(':'));
  HttpClient client("127.0.0.1" + port);
  EXPECT_EQ(client.Get("/metrics", "dispatcher-0.monitoring.svc:9464").status, 200);
}

TEST_F(AdminServerTest, RefusesRequestsThatNameNoHostOrTwo) {
  Start();
  for (const char* headers : {"", "Host: localhost\r\nHost: attacker.example\r\n"}) {
    HttpClient client(server_->address());
    client.Send(std::string("GET /metrics HTTP/1.1\r\n") + headers + "\r\n");
    EXPECT_EQ(client.Receive().status, 400) << headers;
    EXPECT_TRUE(client.ClosedByServer());
  }
}

TEST_F(AdminServerTest, RefusesATargetThatIsNoPath) {
  Start();
  EXPECT_EQ(Get("http://attacker.example/metrics").status, 400);
  EXPECT_EQ(Get("*").status, 400);
}

TEST_F(AdminServerTest, ListensOnIpv6) {
  options_.listen = "[::1]:0";
  Start();
  EXPECT_THAT(server_->address(), ::testing::StartsWith("[::1]:"));
  EXPECT_EQ(Get("/metrics", server_->address()).status, 200);
  EXPECT_EQ(Get("/metrics", "attacker.example").status, 421);
}

TEST_F(AdminServerTest, ListensOnLocalhostByName) {
  options_.listen = "localhost:0";
  Start();
  EXPECT_EQ(Get("/metrics", "localhost").status, 200);
  EXPECT_EQ(Get("/metrics", "attacker.example").status, 421);
}

TEST_F(AdminServerTest, HugeHeaderIsRefusedAndTheClientIsNotResetWhileItSends) {
  Start();
  HttpClient client(server_->address());
  EXPECT_TRUE(client.Send(
      "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Filler: " + std::string(8 << 20, 'x') + "\r\n\r\n"));
  EXPECT_EQ(client.Receive().status, 431);
  EXPECT_TRUE(client.ClosedByServer());
}

TEST_F(AdminServerTest, HeaderMayHaveEightKibibytesInAll) {
  Start();
  for (const auto& [lines, status] : {std::pair(700, 200), std::pair(1'000, 431)}) {
    HttpClient client(server_->address());
    std::string request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n";
    for (int i = 0; i < lines; ++i) request += "X-Y: 1234\r\n";
    client.Send(request + "\r\n");
    EXPECT_EQ(client.Receive().status, status) << lines;
  }
}

TEST_F(AdminServerTest, LargeBodyIsRefusedBeforeItIsRead) {
  Start();
  HttpClient client(server_->address());
  client.Send("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 413);
  EXPECT_TRUE(client.ClosedByServer());
}

TEST_F(AdminServerTest, WhatIsNotHttpIsRefused) {
  Start();
  for (const std::string& bytes :
       {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), std::string("hello\r\n\r\n"),
        std::string("GET /metrics HTTP/9.9\r\n\r\n")}) {
    HttpClient client(server_->address());
    client.Send(bytes);
    client.ShutdownSend();
    EXPECT_EQ(client.Receive().status, 400) << bytes;
    EXPECT_TRUE(client.ClosedByServer());
  }
}

TEST_F(AdminServerTest, ClientThatDripsItsRequestIsCutOffWhileOthersAreServed) {
  options_.request_timeout = milliseconds(300);
  Start();
  HttpClient slow(server_->address());
  const SteadyTime start = Steady::now();
  slow.Send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n");
  int served = 0;
  // Sending fails once the server has closed and said so.
  while (slow.Send("X: y\r\n") && Steady::now() - start < seconds(20))
    served += Get("/metrics").status == 200;
  EXPECT_LT(Steady::now() - start, seconds(20));
  EXPECT_GE(Steady::now() - start, milliseconds(250));
  EXPECT_GT(served, 0);
}

TEST_F(AdminServerTest, IdleConnectionIsClosedAfterTheTimeout) {
  options_.timeout = milliseconds(200);
  Start();
  HttpClient idle(server_->address());
  EXPECT_EQ(idle.Get("/metrics").status, 200);
  EXPECT_TRUE(idle.ClosedByServer());
}

TEST_F(AdminServerTest, ClientThatDoesNotReadItsAnswerIsCutOff) {
  options_.timeout = milliseconds(200);
  metrics_ = [] { return std::string(64 << 20, 'x'); };
  Start();
  HttpClient lazy(server_->address());
  lazy.Send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  // Sending fails once the server has closed and said so.
  const SteadyTime give_up = Steady::now() + seconds(20);
  while (lazy.Send("x") && Steady::now() < give_up) EXPECT_EQ(Get("/healthz").status, 200);
  EXPECT_LT(Steady::now(), give_up);
  EXPECT_THROW(lazy.Receive(), std::runtime_error);
}

TEST_F(AdminServerTest, ServesManyScrapersAtOnce) {
  metrics_ = [] { return std::string(200'000, 'm'); };
  Start();
  std::atomic<int> complete = 0;
  std::vector<std::thread> scrapers;
  for (int i = 0; i < 16; ++i) {
    scrapers.emplace_back([this, &complete] {
      HttpClient client(server_->address());
      for (int scrape = 0; scrape < 25; ++scrape) complete += client.Get("/metrics").body.size() == 200'000;
    });
  }
  for (std::thread& scraper : scrapers) scraper.join();
  EXPECT_EQ(complete, 16 * 25);
}

TEST_F(AdminServerTest, ProbeThatThrowsIsAnErrorOfThatRequestAlone) {
  metrics_ = []() -> std::string { throw std::runtime_error("password=hunter2"); };
  Start();
  HttpClient client(server_->address());
  const HttpResponse response = client.Get("/metrics");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body.find("hunter2"), std::string::npos);
  EXPECT_EQ(client.Get("/healthz").status, 200);
}

TEST_F(AdminServerTest, AnswersMayNotBeCachedNorGuessedAt) {
  Start();
  const HttpResponse response = Get("/readyz");
  EXPECT_EQ(response.headers.at("cache-control"), "no-store");
  EXPECT_EQ(response.headers.at("x-content-type-options"), "nosniff");
}

TEST_F(AdminServerTest, StopClosesThePortAndEveryConnection) {
  Start();
  const std::string address = server_->address();
  HttpClient idle(address);
  EXPECT_EQ(idle.Get("/healthz").status, 200);
  HttpClient halfway(address);
  halfway.Send("GET /metrics HT");
  server_->Stop();
  EXPECT_TRUE(idle.ClosedByServer());
  EXPECT_TRUE(halfway.ClosedByServer());
  EXPECT_THROW(HttpClient{address}, std::system_error);
  server_->Stop();
  // The port can be had again at once.
  options_.listen = address;
  Start();
  EXPECT_EQ(Get("/healthz").status, 200);
}

std::string ErrorOf(const std::string& listen) {
  try {
    const AdminServer server({.listen = listen}, {});
    return "";
  } catch (const ListenError& error) {
    return error.what();
  }
}

TEST_F(AdminServerTest, AnAddressInUseIsOneSentenceThatNamesIt) {
  Start();
  EXPECT_EQ(ErrorOf(server_->address()), "cannot listen on " + server_->address() +
                                             ": Address already in use; give --admin-listen an address that "
                                             "is free");
}

TEST_F(AdminServerTest, AnUnusableAddressIsOneSentenceThatNamesIt) {
  EXPECT_THAT(ErrorOf("203.0.113.7:9464"), HasSubstr("cannot listen on 203.0.113.7:9464: "));
  EXPECT_THAT(ErrorOf("no-such-host.invalid:9464"), HasSubstr("no-such-host.invalid:9464: Host not found"));
  EXPECT_THAT(ErrorOf("9464"), HasSubstr("give host:port"));
}

}  // namespace
}  // namespace postcall::admin
