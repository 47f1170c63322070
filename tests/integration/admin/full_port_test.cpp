// Clients that hold connections without using them cannot shut out other clients, even when they hold all
// connections.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "dispatcher/admin/admin_server.h"
#include "tests/integration/admin/http_client.h"

namespace postcall::admin {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr const char* kHalf = "GET /metrics HTTP/1.1\r\nHo";
constexpr const char* kOtherHalf = "st: localhost\r\n\r\n";

class FullPort : public ::testing::Test {
 protected:
  FullPort() {
    options_.listen = "127.0.0.1:0";
    options_.timeout = minutes(10);  // so that nothing here becomes free by itself
    options_.request_timeout = minutes(10);
  }

  void Start() {
    server_ =
        std::make_unique<AdminServer>(options_, Probes{.metrics = [this] { return ++scrapes_, metrics_; },
                                                       .health = [] { return Health{}; },
                                                       .ready = [] { return Readiness{}; }});
  }

  std::unique_ptr<HttpClient> Connect() { return std::make_unique<HttpClient>(server_->address()); }

  std::unique_ptr<HttpClient> HalfRequest() {
    auto client = Connect();
    client->Send(kHalf);
    return client;
  }

  // A client that has had an answer and keeps its connection for the next request.
  std::unique_ptr<HttpClient> Kept() {
    auto client = Connect();
    EXPECT_EQ(StatusOn(*client), 200);
    return client;
  }

  // A client whose answer is coming and that reads none of it.
  std::unique_ptr<HttpClient> Unread() {
    auto client = Connect();
    const int before = scrapes_;
    client->Send(std::string(kHalf) + kOtherHalf);
    const SteadyTime give_up = Steady::now() + seconds(20);
    while (scrapes_ == before && Steady::now() < give_up) std::this_thread::yield();
    EXPECT_GT(scrapes_, before);
    return client;
  }

  // 0 when the server closed the connection instead.
  static int StatusOn(HttpClient& client) {
    try {
      return client.Get("/healthz").status;
    } catch (const std::runtime_error&) {
      return 0;
    }
  }

  AdminOptions options_;
  std::string metrics_ = "postcall_in_flight 3\n";
  std::atomic<int> scrapes_ = 0;
  std::unique_ptr<AdminServer> server_;
};

TEST_F(FullPort, HalfRequestsThatComeBackWhenTheyAreClosedShutOutNoOtherClient) {
  Start();
  std::vector<std::unique_ptr<HttpClient>> attackers;
  for (int i = 0; i < 64; ++i) attackers.push_back(HalfRequest());
  for (int probe = 0; probe < 30; ++probe) {
    EXPECT_EQ(StatusOn(*Connect()), 200) << probe;
    attackers[static_cast<std::size_t>(probe)] = HalfRequest();
    attackers.push_back(HalfRequest());
  }
}

TEST_F(FullPort, AnswersThatAreNotReadShutOutNoOtherClient) {
  metrics_.assign(16 << 20, 'x');  // more than the kernel takes
  options_.max_connections = 8;
  Start();
  std::vector<std::unique_ptr<HttpClient>> lazy;
  for (int i = 0; i < 8; ++i) lazy.push_back(Unread());
  for (int probe = 0; probe < 8; ++probe) {
    EXPECT_EQ(StatusOn(*Connect()), 200) << probe;
    lazy.push_back(Unread());
  }
}

TEST_F(FullPort, ConnectionsThatAreKeptForLaterShutOutNoOtherClient) {
  Start();
  std::vector<std::unique_ptr<HttpClient>> kept;
  for (int i = 0; i < 65; ++i) kept.push_back(Kept());
  EXPECT_TRUE(kept[0]->ClosedByServer());
  for (std::size_t i = 1; i < kept.size(); ++i) EXPECT_EQ(StatusOn(*kept[i]), 200) << i;
}

TEST_F(FullPort, TheOldestHalfRequestMakesRoomBeforeAConnectionInUse) {
  metrics_.assign(16 << 20, 'x');
  options_.max_connections = 8;
  Start();
  const auto reading = Unread();
  const auto kept = Kept();
  std::vector<std::unique_ptr<HttpClient>> halves;
  for (int i = 0; i < 6; ++i) halves.push_back(HalfRequest());
  const auto newcomer = Kept();
  EXPECT_TRUE(halves[0]->ClosedByServer());
  EXPECT_EQ(StatusOn(*kept), 200);
  EXPECT_EQ(StatusOn(*newcomer), 200);
  halves[1]->Send(kOtherHalf);
  EXPECT_EQ(halves[1]->Receive().status, 200);
  EXPECT_EQ(reading->Receive().body.size(), metrics_.size());
}

TEST_F(FullPort, AConnectionThatIsKeptMakesRoomBeforeAnAnswerUnderWay) {
  metrics_.assign(16 << 20, 'x');
  options_.max_connections = 4;
  Start();
  const auto reading = Unread();
  const auto kept = Kept();
  const auto other = Kept();
  const auto another = Kept();
  const auto newcomer = Kept();
  EXPECT_TRUE(kept->ClosedByServer());
  EXPECT_EQ(reading->Receive().body.size(), metrics_.size());
}

// Otherwise a client that keeps all connections but one, and opens one after the other, would shut out all
// others again.
TEST_F(FullPort, ANewConnectionHasTimeForItsRequestEvenWhenOthersComeAfterIt) {
  options_.max_connections = 8;
  Start();
  std::vector<std::unique_ptr<HttpClient>> others;
  for (int i = 0; i < 8; ++i) others.push_back(Kept());
  const auto newcomer = HalfRequest();
  for (int i = 0; i < 3; ++i) others.push_back(Kept());
  newcomer->Send(kOtherHalf);
  EXPECT_EQ(newcomer->Receive().status, 200);
}

TEST_F(FullPort, ARequestHasLessTimeToArriveThanAConnectionMayBeKept) {
  options_.request_timeout = seconds(1);
  Start();
  const auto kept = Kept();
  const auto silent = Connect();
  const auto half = HalfRequest();
  const auto second_half = Kept();
  second_half->Send(kHalf);
  EXPECT_TRUE(silent->ClosedByServer());
  EXPECT_TRUE(half->ClosedByServer());
  EXPECT_TRUE(second_half->ClosedByServer());
  EXPECT_EQ(StatusOn(*kept), 200);
}

}  // namespace
}  // namespace postcall::admin
