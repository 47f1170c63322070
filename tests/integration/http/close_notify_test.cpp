// TLS endpoints that answer our close_notify late or never. libcurl 8 waits for it for up to 2 s after the
// end of the POST; during that wait it must use no object of ours and keep no descriptor open.
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <sstream>
#include <vector>

#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"

namespace postcall::test {
namespace {

constexpr int kPosts = 40;

// Counts our ends of the connections only; the endpoint's ends are in the same table.
int EstablishedTo(std::uint16_t port) {
  std::ifstream table("/proc/self/net/tcp");
  std::string line;
  std::getline(table, line);
  int count = 0;
  while (std::getline(table, line)) {
    std::istringstream words(line);
    std::string number, local, remote, state;
    words >> number >> local >> remote >> state;
    if (state == "01" && std::stoul(remote.substr(remote.find(':') + 1), nullptr, 16) == port) ++count;
  }
  return count;
}

enum class Answers { kAtOnce, kLate, kNever };

// What the endpoint does after its answer, when our close_notify arrives `closed_after` later.
Script AfterAnswer(Answers answers, std::chrono::milliseconds closed_after) {
  switch (answers) {
    case Answers::kAtOnce:
      return Nothing();
    case Answers::kLate:
      return Wait(closed_after + 500ms) + Close();
    case Answers::kNever:
      return Ignore();
  }
  return Nothing();
}

class CloseNotify : public testing::TestWithParam<Answers> {
 protected:
  // Keeps the loop busy, with the same libcurl handle, for as long as libcurl might still wait.
  void Go(std::chrono::milliseconds duration) {
    const SteadyTime end = Steady::now() + duration;
    while (Steady::now() < end) {
      EXPECT_EQ(poster_.Send(plain_.Url()).result.outcome, Outcome::kDelivered);
      poster_.RunUntil([] { return false; }, 10ms);
    }
  }

  // All POSTs run at the same time.
  void PostMany(const std::string& path) {
    std::vector<Poster::Pending> posts;
    for (int i = 0; i < kPosts; ++i) posts.push_back(poster_.Start(tls_.Url(path)));
    ASSERT_TRUE(poster_.RunUntilIdle());
    for (const auto& post : posts) {
      EXPECT_EQ((*post)->result.outcome, Outcome::kDelivered) << (*post)->result.error;
    }
  }

  HostileEndpoint tls_{{.tls = TlsOptions{Authority().Issue({"127.0.0.1"})}, .on_request = {}}};
  HostileEndpoint plain_;
  Poster poster_{{.max_idle_connections = 100}};
};

TEST_P(CloseNotify, IsNotWaitedForWhenTheEndpointClosesAfterItsAnswer) {
  tls_.On("/close", Respond(200, "ok", {{"Connection", "close"}}) + AfterAnswer(GetParam(), 0ms));
  PostMany("/close");
  EXPECT_EQ(EstablishedTo(tls_.port()), 0);
  Go(2500ms);
}

TEST_P(CloseNotify, IsNotWaitedForWhenAKeptConnectionIsTooOld) {
  tls_.On("/keep", Respond(200) + AfterAnswer(GetParam(), 4100ms));
  PostMany("/keep");
  Go(4100ms);
  PostMany("/keep");  // finds the kept connections too old, and makes new ones
  EXPECT_LE(EstablishedTo(tls_.port()), kPosts);
  Go(2500ms);
}

TEST_P(CloseNotify, IsNotWaitedForWhenNoMoreConnectionsMayBeKept) {
  Poster small({.max_idle_connections = 2});
  tls_.On("/keep", Respond(200) + AfterAnswer(GetParam(), 0ms));
  for (int i = 0; i < kPosts; ++i) small.Start(tls_.Url("/keep"));
  ASSERT_TRUE(small.RunUntilIdle());
  EXPECT_LE(EstablishedTo(tls_.port()), 2);
  EXPECT_FALSE(small.RunUntil([] { return false; }, 2500ms));
}

constexpr std::array kNames = {"AnswersAtOnce", "AnswersLate", "NeverAnswers"};

INSTANTIATE_TEST_SUITE_P(Endpoints, CloseNotify,
                         testing::Values(Answers::kAtOnce, Answers::kLate, Answers::kNever),
                         [](const auto& test) { return kNames.at(static_cast<std::size_t>(test.param)); });

}  // namespace
}  // namespace postcall::test
