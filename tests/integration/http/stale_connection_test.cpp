// Idle connections on which the endpoint sent bytes or closed. None of them may carry the next request,
// because the bytes would look like its answer, and a close_notify or FIN like a lost connection.
#include <gtest/gtest.h>

#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"

namespace postcall::test {
namespace {

struct Afterthought {
  const char* name;
  bool tls;
  Script script;
};

void PrintTo(const Afterthought& afterthought, std::ostream* out) { *out << afterthought.name; }

class StaleConnection : public testing::TestWithParam<Afterthought> {};

TEST_P(StaleConnection, IsNotUsedAndTheRequestIsSentOverANewOne) {
  EndpointOptions options;
  if (GetParam().tls) options.tls = TlsOptions{.certificate = Authority().Issue({"127.0.0.1"})};
  HostileEndpoint endpoint(std::move(options));
  endpoint.On("/first", [](const RequestEntry&) { return Respond(200) + Wait(50ms) + GetParam().script; });
  Poster poster;
  ASSERT_EQ(poster.Send(endpoint.Url("/first")).result.outcome, Outcome::kDelivered);
  ASSERT_TRUE(endpoint.ledger().WaitFor(
      [](const auto& requests, const auto&) { return requests.at(0).answer_ended_at.has_value(); }, 5s));
  // The endpoint has one thread: when it answers another client, it has finished with this connection.
  Poster another;
  ASSERT_EQ(another.Send(endpoint.Url("/another")).result.outcome, Outcome::kDelivered);

  const DeliveryResult second = poster.Send(endpoint.Url("/second")).result;
  EXPECT_EQ(second.outcome, Outcome::kDelivered) << second.error;
  EXPECT_EQ(second.response_body, "ok");
  EXPECT_EQ(second.connection_reused, false);
  EXPECT_TRUE(second.times.connect);
  EXPECT_EQ(endpoint.ledger().RequestCount(), 3U);
  EXPECT_EQ(poster.metrics().resend_guard.Value(), 0);
  EXPECT_EQ(poster.metrics().connections_new.Value(), 2);
}

const std::string kAnotherAnswer = Response(200, "not yours");

INSTANTIATE_TEST_SUITE_P(Afterthoughts, StaleConnection,
                         testing::Values(Afterthought{"Fin", false, Close()},
                                         Afterthought{"CloseNotify", true, Close()},
                                         Afterthought{"TlsCut", true, Cut()},
                                         Afterthought{"Timeout", false, Send(Response(408)) + Close()},
                                         Afterthought{"Answer", false, Send(kAnotherAnswer) + Hang()},
                                         Afterthought{"TlsAnswer", true, Send(kAnotherAnswer) + Hang()}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace postcall::test
