#include "schema/signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postcall {
namespace {

using namespace std::string_literals;

std::chrono::sys_seconds At(std::int64_t seconds) {
  return std::chrono::sys_seconds(std::chrono::seconds(seconds));
}

std::vector<Secret> SecretsOf(const std::string& json) {
  const AgentSettings settings =
      ParseAgentSettings(R"({"webhooks": {"postCall": "https://h", "secret": )" + json + "}}");
  return std::get<Target>(settings).secrets;
}

constexpr auto kSpecificationSecret = R"("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")";
constexpr auto kSpecificationSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

TEST(Signature, IsThatOfTheStandardWebhooksSpecification) {
  EXPECT_EQ(Signature("msg_p5jXN8AQM9LWM0D4loKWxJek", At(1614265330), R"({"test": 2432232314})",
                      SecretsOf(kSpecificationSecret)),
            kSpecificationSignature);
}

TEST(Signature, IsOneForEachSecretInTheirOrder) {
  const std::vector<Secret> both = SecretsOf(R"(["whsec_Zm9v", )"s + kSpecificationSecret + "]");
  const std::string signature =
      Signature("msg_p5jXN8AQM9LWM0D4loKWxJek", At(1614265330), R"({"test": 2432232314})", both);
  EXPECT_EQ(signature.substr(signature.find(' ') + 1), kSpecificationSignature);
  EXPECT_EQ(signature.substr(0, signature.find(' ')),
            Signature("msg_p5jXN8AQM9LWM0D4loKWxJek", At(1614265330), R"({"test": 2432232314})",
                      SecretsOf(R"("Zm9v")")));
}

TEST(Signature, ChangesWithEachThingThatItSigns) {
  const std::vector<Secret> secrets = SecretsOf(kSpecificationSecret);
  const std::string signature = Signature("id", At(1), "body", secrets);
  EXPECT_NE(signature, Signature("ie", At(1), "body", secrets));
  EXPECT_NE(signature, Signature("id", At(2), "body", secrets));
  EXPECT_NE(signature, Signature("id", At(1), "bodz", secrets));
  EXPECT_NE(signature, Signature("id", At(1), "body", SecretsOf(R"("Zm9v")")));
}

TEST(Signature, TakesAnyKeyAndBody) {
  // Computed with Python's hmac and hashlib.
  EXPECT_EQ(Signature("id", At(0), "", std::vector{Secret{std::string(200, '\0')}}),
            "v1,odRpRS5HwbGzxzSTnZLM5VzTOV5E8xybyZnra8PMdXk=");
  EXPECT_EQ(
      Signature("id", At(1700000000), std::string(1'000'000, 'x') + "\0\xFF"s, std::vector{Secret{"\x01"}}),
      "v1,/twj5FlyvrTIL/zZi7luniuMav4tfbWf5pnDH3fpzcE=");
}

TEST(WebhookId, IsTheCallsIdPercentEncoded) {
  EXPECT_EQ(WebhookId(CallId("693bff62619c51fac21acf50")), "call_693bff62619c51fac21acf50");
  EXPECT_EQ(WebhookId(CallId("aZ09_-")), "call_aZ09_-");
  EXPECT_EQ(WebhookId(CallId("a.b/c d%2f\n\xC3\xA9\0"s)), "call_a%2Eb%2Fc%20d%252f%0A%C3%A9%00");
  EXPECT_EQ(WebhookId(CallId("")), "call_");
}

TEST(WebhookId, IsTheHashOfTheCallsIdWhenItWouldBeOver200Bytes) {
  EXPECT_EQ(WebhookId(CallId(std::string(195, 'a'))), "call_" + std::string(195, 'a'));
  // printf 'aaa…' | sha256sum
  EXPECT_EQ(WebhookId(CallId(std::string(196, 'a'))),
            "call_96b864ee9e10a31f8425084ed115df8951bb8d1303cb13f43c0a600eb03643b0");
  EXPECT_EQ(WebhookId(CallId(std::string(65, '.'))).size(), 200U);
  EXPECT_EQ(WebhookId(CallId(std::string(66, '.'))),
            "call_2b1161b698ade72330726c2e546cb9e07f615e92bb8e14b5ba0dc9f7e28d829f");
}

TEST(WebhookHeaders, AreTheThreeOfStandardWebhooksWithASecret) {
  const std::vector<Secret> secrets = SecretsOf(kSpecificationSecret);
  EXPECT_THAT(WebhookHeaders(CallId("c/1"), At(1614265330), "{}", secrets),
              testing::ElementsAre(
                  Header{"webhook-id", "call_c%2F1"}, Header{"webhook-timestamp", "1614265330"},
                  Header{"webhook-signature", Signature("call_c%2F1", At(1614265330), "{}", secrets)}));
}

TEST(WebhookHeaders, AreTheIdAloneWithoutASecret) {
  EXPECT_THAT(WebhookHeaders(CallId("c"), At(1), "{}", {}),
              testing::ElementsAre(Header{"webhook-id", "call_c"}));
}

}  // namespace
}  // namespace postcall
