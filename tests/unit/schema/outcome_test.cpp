#include "schema/outcome.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace postcall {
namespace {

TEST(Outcome, HasTheWordsOfTheLog) {
  std::vector<std::string> words;
  for (const Outcome outcome : kFinalOutcomes) words.emplace_back(ToString(outcome));
  EXPECT_THAT(words, testing::ElementsAre("delivered", "rejected", "timeout", "dns_error", "connect_error",
                                          "tls_error", "network_error", "blocked", "invalid_settings",
                                          "skipped", "not_sent", "unknown"));
  EXPECT_EQ(ToString(Outcome::kInFlight), "in_flight");
}

TEST(Reached, HasTheWordsOfTheLog) {
  EXPECT_EQ(ToString(Reached::kNothing), "nothing");
  EXPECT_EQ(ToString(Reached::kConnected), "connected");
  EXPECT_EQ(ToString(Reached::kRequestSent), "request_sent");
  EXPECT_EQ(ToString(Reached::kResponseStarted), "response_started");
  EXPECT_EQ(ToString(Reached::kResponseComplete), "response_complete");
}

TEST(Cause, IsReadBackFromItsWord) {
  for (const Cause cause : kCauses) EXPECT_EQ(CauseFrom(ToString(cause)), cause);
  EXPECT_EQ(CauseFrom("completion"), Cause::kCompletion);
  EXPECT_EQ(CauseFrom("resend"), Cause::kResend);
  EXPECT_EQ(CauseFrom("test"), Cause::kTest);
}

TEST(Cause, IsNoneForAnyOtherWord) {
  EXPECT_EQ(CauseFrom(""), std::nullopt);
  EXPECT_EQ(CauseFrom("Completion"), std::nullopt);
  EXPECT_EQ(CauseFrom("retry"), std::nullopt);
}

}  // namespace
}  // namespace postcall
