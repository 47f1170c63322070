// Connections that are kept for the next request: no request may be sent twice over them.
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"

namespace postcall::test {
namespace {

// The thread sleeps this long after each send, because on a busy machine the receiver may run before the
// sender continues.
thread_local std::chrono::milliseconds stall_after_send = 0ms;

// The first request of a connection is answered after 30 ms. A later one is read completely, and then
// `ending` follows instead of an answer.
Script OnceThen(Script ending, const RequestEntry& request) {
  return request.on_connection == 0 ? Wait(30ms) + Respond(200) : std::move(ending);
}

TEST(Reuse, TheSecondPostUsesTheConnectionOfTheFirst) {
  HostileEndpoint endpoint;
  Poster poster;
  poster.Send(endpoint.Url("/a"));
  const DeliveryResult second = poster.Send(endpoint.Url("/b")).result;
  EXPECT_EQ(second.outcome, Outcome::kDelivered);
  EXPECT_EQ(second.connection_reused, true);
  EXPECT_EQ(second.remote_address, "127.0.0.1");
  EXPECT_EQ(second.times.connect, std::nullopt);
  EXPECT_TRUE(second.times.first_byte);
  EXPECT_EQ(endpoint.ledger().ConnectionCount(), 1U);
  EXPECT_EQ(poster.metrics().connections_new.Value(), 1);
  EXPECT_EQ(poster.metrics().connections_reused.Value(), 1);
}

TEST(Reuse, AConnectionThatWasClosedWhileIdleIsNotUsed) {
  HostileEndpoint endpoint;
  Poster poster;
  poster.Send(endpoint.Url());
  endpoint.CloseConnections();
  ASSERT_TRUE(endpoint.ledger().WaitFor(
      [](const auto&, const auto& connections) { return connections.at(0).closed_at.has_value(); }, 5s));
  const DeliveryResult second = poster.Send(endpoint.Url()).result;
  EXPECT_EQ(second.outcome, Outcome::kDelivered);
  EXPECT_EQ(second.connection_reused, false);
  EXPECT_EQ(poster.metrics().resend_guard.Value(), 0);
}

class LostOnReuse : public testing::TestWithParam<std::pair<const char*, Script>> {};

TEST_P(LostOnReuse, IsANetworkErrorAndNeverSentAgain) {
  HostileEndpoint endpoint;
  endpoint.Otherwise([](const RequestEntry& request) { return OnceThen(GetParam().second, request); });
  Poster poster;
  poster.Send(endpoint.Url("/first"));
  const DeliveryResult lost = poster.Send(endpoint.Url("/second")).result;
  EXPECT_EQ(lost.outcome, Outcome::kNetworkError);
  EXPECT_EQ(lost.reached, Reached::kRequestSent);
  EXPECT_EQ(lost.connection_reused, true);
  EXPECT_EQ(lost.error, "The connection was lost before an answer came.");
  EXPECT_EQ(poster.metrics().resend_guard.Value(), 1);
  // The third request proves that nothing else was sent after the second.
  poster.Send(endpoint.Url("/third"));
  const auto requests = endpoint.ledger().Requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_EQ(requests[1].target, "/second");
  EXPECT_TRUE(requests[1].complete);
  EXPECT_EQ(requests[2].target, "/third");
  EXPECT_EQ(endpoint.ledger().ConnectionCount(), 2U);
}

INSTANTIATE_TEST_SUITE_P(Endings, LostOnReuse,
                         testing::Values(std::pair("Close", Close()), std::pair("Reset", Reset())),
                         [](const auto& test) { return test.param.first; });

// libcurl would use another idle connection. It opens no socket for that, so only the check on each send
// prevents it.
TEST(Reuse, ALostRequestIsNotSentAgainOverAnotherIdleConnection) {
  HostileEndpoint endpoint;
  endpoint.Otherwise([](const RequestEntry& request) { return OnceThen(Close(), request); });
  Poster poster;
  const auto one = poster.Start(endpoint.Url("/one"));
  const auto two = poster.Start(endpoint.Url("/two"));
  ASSERT_TRUE(poster.RunUntilIdle());
  ASSERT_EQ(endpoint.ledger().ConnectionCount(), 2U);

  const DeliveryResult lost = poster.Send(endpoint.Url("/lost")).result;
  EXPECT_EQ(lost.outcome, Outcome::kNetworkError);
  EXPECT_EQ(lost.reached, Reached::kRequestSent);
  EXPECT_EQ(poster.metrics().resend_guard.Value(), 1);
  poster.Send(endpoint.Url("/after"));
  const auto requests = endpoint.ledger().Requests();
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_EQ(requests[2].target, "/lost");
  EXPECT_EQ(requests[3].target, "/after");
}

TEST(Reuse, AConnectionIdleForFourSecondsIsNotUsedHoweverBusyOthersAre) {
  HostileEndpoint quiet;
  HostileEndpoint busy;
  Poster poster({.max_idle_connections = 10});  // so that one libcurl handle has all of them
  poster.Send(quiet.Url());
  const SteadyTime later = Steady::now() + 4100ms;
  while (Steady::now() < later) {
    poster.Send(busy.Url());
    poster.RunUntil([] { return false; }, 100ms);
  }
  EXPECT_EQ(poster.Send(quiet.Url()).result.connection_reused, false);
}

TEST(Reuse, AConnectionIdleForFourSecondsIsClosedAndNotUsed) {
  HostileEndpoint endpoint;
  Poster poster;
  poster.Send(endpoint.Url());
  EXPECT_FALSE(poster.RunUntil([] { return false; }, 3500ms));
  EXPECT_EQ(poster.Send(endpoint.Url()).result.connection_reused, true);
  // The connection is closed although no further request is sent.
  ASSERT_TRUE(
      poster.RunUntil([&] { return endpoint.ledger().Connections().at(0).closed_at.has_value(); }, 6s));
  const auto requests = endpoint.ledger().Requests();
  EXPECT_GE(*endpoint.ledger().Connections().at(0).closed_at - requests.at(1).head_at, 3900ms);
  EXPECT_EQ(poster.Send(endpoint.Url()).result.connection_reused, false);
}

// On a kept connection libcurl may read in the same call in which it sends, so that no event reports the
// first byte of the answer. This is rare, so the test tries it often.
TEST(Reuse, AnAnswerHasStartedHoweverSoonItArrives) {
  HostileEndpoint endpoint;
  endpoint.On(
      "/http2", [](const RequestEntry&) { return Send(std::string("\0\0\0\4\0\0\0\0\0", 9)) + Hang(); },
      AnswerAt::kHeadEnd);
  Poster poster;
  for (int i = 0; i < 1000; ++i) {
    poster.Send(endpoint.Url("/good"));
    const DeliveryResult result = poster.Send(endpoint.Url("/http2")).result;
    ASSERT_EQ(result.outcome, Outcome::kNetworkError);
    ASSERT_EQ(result.reached, Reached::kResponseStarted) << "after " << i;
  }
}

// The same with half a status line: what follows is only the end of the connection or the deadline.
TEST(Reuse, HalfALineHasStartedAnAnswerHoweverSoonItArrives) {
  HostileEndpoint endpoint;
  endpoint.On("/close", Send("HTTP/1.1 2") + Wait(2ms) + Close(), AnswerAt::kHeadEnd);
  endpoint.On("/reset", Send("HTTP/1.1 2") + Wait(2ms) + Reset(), AnswerAt::kHeadEnd);
  endpoint.On("/hang", Send("HTTP/1.1 2") + Hang(), AnswerAt::kHeadEnd);
  Poster poster({.timeout = 50ms});
  for (int i = 0; i < 60; ++i) {
    for (const char* path : {"/close", "/reset", "/hang"}) {
      poster.Send(endpoint.Url("/good"));
      const DeliveryResult result = poster.Send(endpoint.Url(path)).result;
      ASSERT_EQ(result.reached, Reached::kResponseStarted) << path << " after " << i << ": " << result.error;
    }
  }
}

// The same when the end of the connection arrives at the same time.
TEST(Reuse, HalfALineHasStartedAnAnswerThoughAllIsOverAtOnce) {
  HostileEndpoint endpoint;
  endpoint.On("/close", Send("HTTP/1.1 2") + Close());
  endpoint.On("/reset", Send("HTTP/1.1 2") + Wait(1ms) + Reset());
  endpoint.On("/none", Close());
  Poster poster;
  poster.Send(endpoint.Url("/good"));
  for (const bool kept : {true, false}) {
    for (const auto& [path, reached] : {std::pair("/close", Reached::kResponseStarted),
                                        {"/reset", Reached::kResponseStarted},
                                        {"/none", Reached::kRequestSent}}) {
      if (kept) poster.Send(endpoint.Url("/good"));
      stall_after_send = 30ms;
      const DeliveryResult result = poster.Send(endpoint.Url(path)).result;
      stall_after_send = 0ms;
      EXPECT_EQ(result.connection_reused, kept);
      EXPECT_EQ(result.reached, reached) << path << ": " << result.error;
    }
  }
}

// libcurl would send the next request in HTTP/1.0 as well.
TEST(Reuse, AConnectionThatAnswersInHttp10IsNotKept) {
  HostileEndpoint endpoint;
  endpoint.Otherwise(Send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"));
  Poster poster;
  for (int i = 0; i < 2; ++i) {
    const DeliveryResult result = poster.Send(endpoint.Url()).result;
    EXPECT_EQ(result.outcome, Outcome::kDelivered);
    EXPECT_EQ(result.connection_reused, false);
  }
  for (const RequestEntry& request : endpoint.ledger().Requests()) EXPECT_FALSE(request.http10);
}

TEST(Reuse, IdleConnectionsAreNoMoreThanAllowed) {
  HostileEndpoint endpoint;
  endpoint.Otherwise(Wait(30ms) + Respond(200));
  Poster poster({.max_idle_connections = 3});
  for (int i = 0; i < 10; ++i) poster.Start(endpoint.Url());
  ASSERT_TRUE(poster.RunUntilIdle());
  const auto open = [&] {
    std::size_t count = 0;
    for (const auto& connection : endpoint.ledger().Connections()) count += connection.closed_at ? 0 : 1;
    return count;
  };
  EXPECT_TRUE(poster.RunUntil([&] { return open() <= 3; }, 2s));
  EXPECT_EQ(poster.Send(endpoint.Url()).result.connection_reused, true);
}

}  // namespace
}  // namespace postcall::test

// Replaces libc's function, also for libcurl.
extern "C" ssize_t send(int fd, const void* bytes, std::size_t size, int flags) {
  const ssize_t sent = ::syscall(SYS_sendto, fd, bytes, size, flags, nullptr, 0);
  std::this_thread::sleep_for(postcall::test::stall_after_send);
  return sent;
}
