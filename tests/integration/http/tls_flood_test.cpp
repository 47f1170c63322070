// Messages of TLS itself, which OpenSSL reads in a loop of its own. However many come, no other delivery
// waits for them.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <utility>

#include "tests/integration/http/poster.h"
#include "tests/support/hostile_endpoint.h"

namespace postcall::test {
namespace {

// The number of messages costs the reader at least half a second; OpenSSL 3.0 makes that many in less than a
// second.
constexpr std::size_t kFlood = 80'000;

class TlsFlood : public testing::Test {
 protected:
  // The longest time that another POST took during the flood.
  SteadyTime::duration SlowestUntil(const std::function<bool()>& over) {
    SteadyTime::duration slowest{0};
    while (!over()) {
      const SteadyTime start = Steady::now();
      poster_.Send(good_.Url());
      slowest = std::max(slowest, Steady::now() - start);
    }
    return slowest;
  }

  HostileEndpoint bad_{{.tls = TlsOptions{Authority().Issue({"127.0.0.1"})}, .on_request = {}}};
  HostileEndpoint good_;
  Poster poster_;
};

TEST_F(TlsFlood, InTheHandshakeIsATlsErrorAtOnce) {
  constexpr std::size_t kHelloRequest = 4;  // bytes, all of them 0
  std::string record("\x16\x03\x03\x40\x00", 5);
  record.append(4096 * kHelloRequest, '\0');
  std::string flood;
  for (int i = 0; i < 1000; ++i) flood += record;
  bad_.OnConnection({.at_accept = Send(flood) + Hang()});
  const auto post = poster_.Start(bad_.Url());
  EXPECT_LT(SlowestUntil([&] { return post->has_value(); }), 300ms);
  EXPECT_EQ((*post)->result.outcome, Outcome::kTlsError);
  EXPECT_EQ((*post)->result.reached, Reached::kConnected);
}

TEST_F(TlsFlood, InsteadOfAnAnswerLosesTheConnection) {
  for (const auto& [message, count] :
       {std::pair(TlsMessage::kKeyUpdate, kFlood), {TlsMessage::kSessionTicket, 100}}) {
    bad_.Otherwise(SendTlsMessages(message, count) + Hang());
    const auto post = poster_.Start(bad_.Url());
    EXPECT_LT(SlowestUntil([&] { return post->has_value(); }), 300ms);
    EXPECT_EQ((*post)->result.outcome, Outcome::kNetworkError) << (*post)->result.error;
    EXPECT_EQ((*post)->result.reached, Reached::kRequestSent);
  }
}

// The flood is read when the kept connection is closed.
TEST_F(TlsFlood, AfterAnAnswerDelaysNoOtherDeliveryEither) {
  bad_.Otherwise(Respond(200) + SendTlsMessages(TlsMessage::kKeyUpdate, kFlood) + Hang());
  EXPECT_EQ(poster_.Send(bad_.Url()).result.outcome, Outcome::kDelivered);
  const auto closed = [&] { return bad_.ledger().Connections().at(0).closed_at.has_value(); };
  const SteadyTime end = Steady::now() + 8s;
  EXPECT_LT(SlowestUntil([&] { return closed() || Steady::now() >= end; }), 300ms);
  EXPECT_TRUE(closed());
}

TEST_F(TlsFlood, IsNotWhatAnOrdinaryServerSends) {
  bad_.OnConnection({.established = SendTlsMessages(TlsMessage::kSessionTicket, 4)});
  bad_.Otherwise(SendTlsMessages(TlsMessage::kKeyUpdate, 30) + Respond(200));
  for (int i = 0; i < 5; ++i) {
    const DeliveryResult result = poster_.Send(bad_.Url()).result;
    EXPECT_EQ(result.outcome, Outcome::kDelivered) << result.error;
    EXPECT_EQ(result.connection_reused, i > 0);
  }
}

}  // namespace
}  // namespace postcall::test
