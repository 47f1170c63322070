#include "schema/redact_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <array>
#include <random>

#include "common/utf8.h"

namespace postcall {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::string_literals;

TEST(RedactUrl, LeavesAUrlWithoutSecretsAsItIs) {
  for (const char* text :
       {"https://example.com/hook", "http://127.0.0.1:8080/hook", "HTTPS://Example.COM:443", "http://h/?",
        "http://h", "http://[::1]:80/x", "https://h/a/../b%20c"}) {
    EXPECT_EQ(RedactUrl(text), text);
  }
}

TEST(RedactUrl, ReplacesTheValuesOfTheQuery) {
  EXPECT_EQ(RedactUrl("https://h/p?a=1&b=2"), "https://h/p?a=…&b=…");
  EXPECT_EQ(RedactUrl("https://h/p?token"), "https://h/p?…");
  EXPECT_EQ(RedactUrl("https://h?a=&b&&c=x=y?z"), "https://h?a=…&…&&c=…");
  EXPECT_EQ(RedactUrl("https://h/p?url=http://x/?k=v;w=1"), "https://h/p?url=…");
  EXPECT_EQ(RedactUrl("https://h/p&token=1"), "https://h/p&token=…") << "the '?' was mistyped";
}

TEST(RedactUrl, RemovesUserInfoAndFragment) {
  EXPECT_EQ(RedactUrl("https://user:pw@example.com/p?a=1#frag"), "https://example.com/p?a=…");
  EXPECT_EQ(RedactUrl("https://token@example.com"), "https://example.com");
  EXPECT_EQ(RedactUrl("https://a:b@c:d@example.com:8443/p"), "https://example.com:8443/p");
  EXPECT_EQ(RedactUrl("https://h/p#a?b=c"), "https://h/p");
}

TEST(RedactUrl, KeepsTheHostWhenAnAtSignCannotBelongToUserInfo) {
  EXPECT_EQ(RedactUrl("http://127.0.0.1:8080/p?mail=a@b.c"), "http://127.0.0.1:8080/p?mail=…");
  EXPECT_EQ(RedactUrl("http://[::1]:8080/p?mail=a@b.c"), "http://[::1]:8080/p?mail=…");
  EXPECT_EQ(RedactUrl("http://localhost:8080/p?mail=a@b.c"), "http://localhost:8080/p?mail=…");
  EXPECT_EQ(RedactUrl("https://u:p@example.com/p?mail=a@b.c"), "https://example.com/p?mail=…");
  EXPECT_EQ(RedactUrl("https://example.com/p?a@b=c&d=e"), "https://example.com/p?…&d=…");
  EXPECT_EQ(RedactUrl("https://example.com/@me/hook?a=1"), "https://example.com/…?a=…");
}

TEST(RedactUrl, HidesMoreWhenUserInfoCannotBeRecognised) {
  EXPECT_EQ(RedactUrl("https:/\\user:pw@h"), "…");
  EXPECT_EQ(RedactUrl("user:pw@h"), "…");
  EXPECT_EQ(RedactUrl("user:pw%40h"), "…");
  EXPECT_EQ(RedactUrl("ftp://user:pw@h/x"), "…");
  EXPECT_EQ(RedactUrl("https://user:p?w@h/x"), "https://…");
  EXPECT_EQ(RedactUrl("https://user:12/34@h/x"), "https://…");
  EXPECT_EQ(RedactUrl("https://john.doe:12?w@h/x"), "https://…");
  EXPECT_EQ(RedactUrl("https://user:p#w@h/x"), "https://…");
  EXPECT_EQ(RedactUrl("https://user:pw\\@h/x"), "https://…");
  EXPECT_EQ(RedactUrl("https://example.com\\@h/x"), "https://…");
  EXPECT_EQ(RedactUrl("https://user:pw%40h/x"), "https://…");
  EXPECT_EQ(RedactUrl("https://user:pw/x"), "https://user:…/x");
  EXPECT_EQ(RedactUrl("user:pw/x"), "user:…/x");
}

TEST(RedactUrl, ShowsWhatIsWrongWithATextThatIsNotAUrl) {
  EXPECT_EQ(RedactUrl(""), "");
  EXPECT_EQ(RedactUrl("example.com/hook?k=v"), "example.com/hook?k=…");
  EXPECT_EQ(RedactUrl("ftp://example.com/x"), "ftp://example.com/x");
  EXPECT_EQ(RedactUrl("https://b\xC3\xBC"
                      "cher.example/x"),
            "https://b\xC3\xBC"
            "cher.example/x");
  EXPECT_EQ(RedactUrl("http://h:99999/x?a=1"), "http://h:99999/x?a=…");
  EXPECT_EQ(RedactUrl("token=abc&x=y"), "token=…&x=…");
  EXPECT_EQ(RedactUrl("https://h&token=abc"), "https://h&token=…");
  EXPECT_EQ(RedactUrl("https://h=abc/x"), "https://h=…");
  EXPECT_EQ(RedactUrl("https://us=er&a:pw@h/x"), "https://h/x");
  EXPECT_EQ(RedactUrl("/x/y=z?a"), "/x/y=…");
}

TEST(RedactUrl, GivesOneLineOfUtf8) {
  EXPECT_EQ(RedactUrl("http://h/a\r\n\0\x7F\xFF\xC2\x9B[31m"s),
            "http://h/a\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD[31m");
}

TEST(RedactUrl, IsCutBetweenCharacters) {
  EXPECT_EQ(RedactUrl("http://h/" + std::string(2039, 'a')).size(), 2048U);
  const std::string longer = RedactUrl("http://h/" + std::string(2040, 'a'));
  EXPECT_EQ(longer.size(), 2048U);
  EXPECT_TRUE(longer.ends_with("aaa…"));
  std::string accents = "http://h/";
  for (int i = 0; i < 5000; ++i) accents += "\xC3\xA9";
  EXPECT_TRUE(IsUtf8(RedactUrl(accents)));
  EXPECT_LE(RedactUrl(accents).size(), 2048U);
}

TEST(RedactUrl, TakesAMegabyteOfAnything) {
  for (const char c : {'a', '&', '?', '@', '=', '/', ':', '[', '%', '\0', '\xFF', '\xE2', '#', '\\'}) {
    for (const char* scheme : {"", "https://", "https://h/?"}) {
      const std::string redacted = RedactUrl(scheme + std::string(1 << 20, c));
      EXPECT_LE(redacted.size(), kMaxRedactedUrlBytes);
      EXPECT_TRUE(IsUtf8(redacted));
    }
  }
}

// Random texts made of the separators of a URL. User info has no dot here, because a name with a dot and
// without a colon looks like a host.
TEST(RedactUrl, NeverLeaksUserInfoOrQueryValues) {
  constexpr unsigned kSeed = 20'240'501;
  std::mt19937 random(kSeed);
  const auto pick = [&random](const auto& from) -> std::string {
    return from[std::uniform_int_distribution<std::size_t>(0, from.size() - 1)(random)];
  };
  const std::array schemes = {"https://"s, "HTTP://"s, "http:/"s, "https:\\\\"s, "//"s,
                              ""s,         "ftp://"s,  "https:"s, "http:/\\"s};
  const std::array odd = {":"s,        "/"s, "?"s, "#"s,      "\\"s, "@"s,  "%"s,  "%40"s,
                          "&"s,        "="s, "["s, "]"s,      " "s,  "\n"s, "\0"s, "\xFF"s,
                          "\xC3\xA9"s, ";"s, "1"s, "sekret"s, "//"s, "://"s};
  const std::array ends = {"@h.example/p"s, "@h"s, "@127.0.0.1:80/x"s, "@[::1]/"s, "@"s};
  for (int i = 0; i < 50'000; ++i) {
    std::string text = pick(schemes);
    const int pieces = std::uniform_int_distribution<int>(0, 4)(random);
    for (int k = 0; k < pieces; ++k) text += pick(odd);
    text += "sekret";
    for (int k = 0; k < pieces; ++k) text += pick(odd);
    text += pick(ends) + "?key=sekret&" + "sekret&k2=" + pick(odd) + "sekret#sekret";
    const std::string redacted = RedactUrl(text);
    ASSERT_THAT(redacted, Not(HasSubstr("sekret")))
        << "seed " << kSeed << ", text " << testing::PrintToString(text);
    ASSERT_TRUE(IsUtf8(redacted));
    ASSERT_EQ(redacted.find('\0'), std::string::npos);
  }
}

TEST(RedactUrl, LeavesOnlyPathAndKeysOfAQueryWithoutUserInfo) {
  constexpr unsigned kSeed = 7;
  std::mt19937 random(kSeed);
  const std::array odd = {":"s, "/"s, "?"s, "\\"s, "%"s, "="s, "["s, " "s, "\n"s, "\0"s, "\xFF"s, ";"s, "@"s};
  for (int i = 0; i < 5'000; ++i) {
    std::string text = "https://example.com/p?a=";
    for (int k = 0; k < 4; ++k) text += odd[random() % odd.size()] + "sekret";
    ASSERT_EQ(RedactUrl(text), "https://example.com/p?a=…")
        << "seed " << kSeed << ", text " << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace postcall
