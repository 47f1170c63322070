#include "schema/agent_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace postcall {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using namespace std::string_literals;
using Json = nlohmann::json;

Json WithUrl(const std::string& url = "https://example.com/hook") {
  return {{"webhooks", {{"postCall", url}}}};
}

Json With(const char* member, const Json& value, const std::string& url = "https://example.com/hook") {
  Json settings = WithUrl(url);
  settings["webhooks"][member] = value;
  return settings;
}

AgentSettings Parse(const Json& settings) { return ParseAgentSettings(settings.dump()); }

Target Usable(const Json& settings) {
  AgentSettings parsed = Parse(settings);
  const auto* invalid = std::get_if<InvalidTarget>(&parsed);
  EXPECT_TRUE(std::holds_alternative<Target>(parsed))
      << settings << (invalid == nullptr ? "" : invalid->error);
  auto* target = std::get_if<Target>(&parsed);
  return target == nullptr ? Target{} : std::move(*target);
}

InvalidTarget Unusable(const Json& settings) {
  AgentSettings parsed = Parse(settings);
  EXPECT_TRUE(std::holds_alternative<InvalidTarget>(parsed)) << settings;
  auto* invalid = std::get_if<InvalidTarget>(&parsed);
  return invalid == nullptr ? InvalidTarget{} : std::move(*invalid);
}

bool IsNoTarget(std::string_view json) { return std::holds_alternative<NoTarget>(ParseAgentSettings(json)); }

TEST(AgentSettings, GiveTheTargetWithHeadersAndSecrets) {
  const Target target = Usable(Json::parse(R"({"voice": "anna", "webhooks": {
      "postCall": "https://user:pw@Example.com/hook?key=1",
      "secret": ["whsec_Zm9v", "YmFy"],
      "headers": {"X-Api-Key": "abc", "X-Empty": "", "x-tab": "a\tb"}}})"));
  EXPECT_EQ(target.url, *ParseUrl("https://user:pw@Example.com/hook?key=1"));
  EXPECT_EQ(target.url_for_log, "https://Example.com/hook?key=…");
  EXPECT_THAT(target.headers,
              ElementsAre(Header{"X-Api-Key", "abc"}, Header{"X-Empty", ""}, Header{"x-tab", "a\tb"}));
  ASSERT_EQ(target.secrets.size(), 2U);
  EXPECT_EQ(target.secrets[0].key, "foo");
  EXPECT_EQ(target.secrets[1].key, "bar");
}

TEST(AgentSettings, NeedOnlyPostCall) {
  const Target target = Usable(WithUrl());
  EXPECT_THAT(target.headers, IsEmpty());
  EXPECT_THAT(target.secrets, IsEmpty());
}

TEST(AgentSettings, WithoutPostCallGiveNoTarget) {
  for (const char* json :
       {"", "{}", "null", "[]", "1", "true", "\"text\"", R"({"webhooks": null})", R"({"webhooks": {}})",
        R"({"webhooks": []})", R"({"webhooks": ["https://h"]})", R"({"webhooks": "https://h"})",
        R"({"webhooks": 1})", R"({"webhooks": {"postCall": null}})", R"({"webhooks": {"postCall": ""}})",
        R"({"postCall": "https://h"})", R"([{"webhooks": {"postCall": "https://h"}}])",
        R"({"webhooks": {"postcall": "https://h"}})", R"({"webhooks": {"secret": "", "headers": 1}})"}) {
    EXPECT_TRUE(IsNoTarget(json)) << json;
  }
}

TEST(AgentSettings, WithAPostCallThatIsNotAUrlAreInvalid) {
  for (const Json& value :
       {Json(1), Json(true), Json(false), Json::object(), Json::array(), Json({"https://h"})}) {
    const InvalidTarget invalid = Unusable({{"webhooks", {{"postCall", value}}}});
    EXPECT_THAT(invalid.error, HasSubstr("postCall"));
    EXPECT_EQ(invalid.url_for_log, "");
  }
  const InvalidTarget invalid = Unusable(WithUrl("ftp://h/?key=sekret"));
  EXPECT_EQ(invalid.url_for_log, "ftp://h/?key=…");
  EXPECT_THAT(invalid.error, HasSubstr("http:// or https://"));
  EXPECT_THAT(Unusable(WithUrl(" ")).error, HasSubstr("space"));
  EXPECT_THAT(Unusable(WithUrl("https://h/\0x"s)).error, HasSubstr("control"));
}

TEST(AgentSettings, ThatAreNotJsonAreInvalid) {
  for (const char* text : {"{", "nonsense", "{\"a\": }", "\xFF", "{} {}", "\"", "\"\\", "[1,"}) {
    EXPECT_TRUE(std::holds_alternative<InvalidTarget>(ParseAgentSettings(text))) << text;
  }
}

TEST(AgentSettings, MayHoldAnythingElse) {
  const std::string digits(5000, '9');
  for (const std::string& extra :
       {digits, "-" + digits + ".5", "1e400"s, "[0, -1, 1.5E-7]"s, "\"12\\\"3\\\\\""s,
        std::string(100'000, '[') + std::string(100'000, ']'), "\"" + digits + "\""}) {
    const std::string json = R"({"extra": )" + extra +
                             R"(, "webhooks": {"postCall": "https://h/12-3?e=4.5e6", "retries": )" + digits +
                             "}}";
    const AgentSettings parsed = ParseAgentSettings(json);
    ASSERT_TRUE(std::holds_alternative<Target>(parsed)) << extra.substr(0, 20);
    EXPECT_EQ(std::get<Target>(parsed).url.target, "/12-3?e=4.5e6") << "digits inside a string stay";
  }
}

TEST(AgentSettings, CountNullAsAbsent) {
  const Target target =
      Usable(Json::parse(R"({"webhooks": {"postCall": "https://h", "secret": null, "headers": null}})"));
  EXPECT_THAT(target.headers, IsEmpty());
  EXPECT_THAT(target.secrets, IsEmpty());
}

TEST(AgentSettings, AreNeverUsedWithAnUnusableSecret) {
  for (const Json& secret :
       {Json(""), Json("whsec_"), Json("whsec_Zg"),
        Json("whsec_Zg=="
             " "),
        Json("not base64!"), Json("whsk_Zm9v"), Json("whsec_whsec_Zm9v"), Json("WHSEC_Zm9v"), Json(1),
        Json(true), Json::object(), Json::array(), Json({""}), Json({"whsec_Zm9v", nullptr}),
        Json({"whsec_Zm9v", 5}), Json({"whsec_Zm9v", ""}), Json({{"whsec_Zm9v"}}),
        Json(std::string(5000, 'A')), Json(std::vector<std::string>(17, "Zm9v"))}) {
    const InvalidTarget invalid = Unusable(With("secret", secret));
    EXPECT_THAT(invalid.error, HasSubstr("secret")) << secret;
    EXPECT_THAT(invalid.error, Not(HasSubstr("Zm9v"))) << secret;
    EXPECT_EQ(invalid.url_for_log, "https://example.com/hook");
  }
}

TEST(AgentSettings, TakeSecretsWithAndWithoutPrefix) {
  EXPECT_EQ(Usable(With("secret", "whsec_Zm9v")).secrets.at(0).key, "foo");
  EXPECT_EQ(Usable(With("secret", "Zm9v")).secrets.at(0).key, "foo");
  EXPECT_EQ(Usable(With("secret", "AAAA")).secrets.at(0).key, std::string(3, '\0'));
  EXPECT_EQ(Usable(With("secret", std::vector<std::string>(16, "Zm9v"))).secrets.size(), 16U);
}

TEST(AgentSettings, RefuseHeadersThatAreOurs) {
  for (const char* name : {"Host",
                           "HOST",
                           "Content-Type",
                           "content-length",
                           "Content-",
                           "Transfer-Encoding",
                           "Connection",
                           "TE",
                           "te",
                           "Trailer",
                           "Upgrade",
                           "Expect",
                           "Cookie",
                           "Accept",
                           "accept-encoding",
                           "Acceptable",
                           "User-Agent",
                           "Proxy-",
                           "Proxy-Authorization",
                           "webhook-id",
                           "Webhook-Signature",
                           "WEBHOOK-x"}) {
    const InvalidTarget invalid = Unusable(With("headers", {{name, "x"}}));
    EXPECT_THAT(invalid.error, HasSubstr("the header "s + name + " ")) << name;
    EXPECT_THAT(invalid.error, HasSubstr("remove it")) << name;
  }
}

TEST(AgentSettings, TakeHeadersThatOnlyResembleOurs) {
  for (const char* name :
       {"X-Host", "Hosts", "Contents", "Content", "Tea", "Cookie2", "Set-Cookie", "Keep-Alive", "X-Accept",
        "Proxy", "webhook", "X-Webhook-Id", "Authorization", "!#$%&'*+-.^_`|~09azAZ"}) {
    EXPECT_THAT(Usable(With("headers", {{name, "x"}})).headers, ElementsAre(Header{name, "x"}));
  }
}

TEST(AgentSettings, RefuseAuthorizationBesideCredentialsInTheUrl) {
  for (const char* name : {"Authorization", "authorization", "AUTHORIZATION"}) {
    EXPECT_THAT(Unusable(With("headers", {{name, "Bearer sekret"}}, "https://u:p@h/")).error,
                testing::AllOf(HasSubstr("URL"), Not(HasSubstr("sekret"))));
  }
  Usable(With("headers", {{"Authorization", "Bearer x"}}, "https://@h/"));
}

TEST(AgentSettings, RefuseHeadersThatHttpForbids) {
  for (const std::string& name :
       {""s,    "X Y"s, "X:"s, "X\r\nY"s, "X\0"s, "X\t"s, "\xC3\xA9"s, "X(Y)"s, "\"X\""s, "X/Y"s,
        "[X]"s, "{X}"s, "X,"s, "X;"s,     "X@"s,  "X="s,  "X?"s,       "X\\"s,  "<X>"s,   "X\x7F"s}) {
    EXPECT_THAT(Unusable(With("headers", {{name, "x"}})).error, HasSubstr("header name")) << name;
  }
  for (const std::string& value :
       {"a\rb"s, "a\nb"s, "a\r\nHost: h"s, "a\0"s, "\x01"s, "a\x1F"s, "\x7F"s, "\n"s}) {
    const InvalidTarget invalid = Unusable(With("headers", {{"X-Sekret", value}}));
    EXPECT_THAT(invalid.error, HasSubstr("X-Sekret in the agent's settings has a value that HTTP forbids"));
  }
}

TEST(AgentSettings, RefuseHeadersThatAreNotStrings) {
  for (const Json& value : {Json(1), Json(true), Json(nullptr), Json::array({"a"}), Json::object()}) {
    EXPECT_THAT(Unusable(With("headers", {{"X-A", value}})).error,
                HasSubstr("X-A in the agent's settings is not a string"));
  }
  for (const Json& headers : {Json(1), Json("X-A: b"), Json({"X-A: b"}), Json(false)}) {
    EXPECT_THAT(Unusable(With("headers", headers)).error, HasSubstr("\"headers\""));
  }
}

TEST(AgentSettings, KeepHeaderValuesExceptForSpacesAtTheEnds) {
  const Target target =
      Usable(With("headers", {{"A", " a  b\t"}, {"B", "  "}, {"C", "\xC3\xA9;:\"\\"}, {"D", "\t"}}));
  EXPECT_THAT(target.headers, ElementsAre(Header{"A", "a  b"}, Header{"B", ""}, Header{"C", "\xC3\xA9;:\"\\"},
                                          Header{"D", ""}));
}

TEST(AgentSettings, LimitTheSizeOfAllHeadersTogether) {
  const std::string half(32'000, 'v');
  Usable(With("headers", {{"A", half}, {"B", half}}));
  EXPECT_THAT(Unusable(With("headers", {{"A", half}, {"B", half}, {"C", half}})).error, HasSubstr("65,536"));
  EXPECT_THAT(Unusable(With("headers", {{std::string(100'000, 'A'), ""}})).error, HasSubstr("header name"));
  EXPECT_LT(Unusable(With("headers", {{std::string(10'000, 'A'), 1}})).error.size(), 200U);
}

TEST(AgentSettings, LimitTheNumberOfHeaders) {
  Json headers;
  for (int i = 1; i <= 100; ++i) headers["X-" + std::to_string(i)] = "";
  EXPECT_EQ(Usable(With("headers", headers)).headers.size(), 100U);
  headers["X-101"] = "";
  EXPECT_THAT(Unusable(With("headers", headers)).error, HasSubstr("more than 100"));
}

}  // namespace
}  // namespace postcall
