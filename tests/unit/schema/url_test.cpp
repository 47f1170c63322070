#include "schema/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postcall {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::string_literals;

Url Parsed(std::string_view text) {
  const Result<Url> url = ParseUrl(text);
  EXPECT_TRUE(url) << text << ": " << (url ? "" : url.error());
  return url ? *url : Url{};
}

std::string Refused(std::string_view text) {
  const Result<Url> url = ParseUrl(text);
  EXPECT_FALSE(url) << text << " is taken as " << (url ? url->ToString() : "");
  return url ? "" : url.error();
}

std::string HostOf(const std::string& host) { return Parsed("http://" + host + "/").host; }

TEST(Url, IsParsedIntoItsParts) {
  const Url url = Parsed("HTTPS://User:p%40ss@Hooks.Example.COM:8443/a/b?x=1&y=2#part");
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.host, "hooks.example.com");
  EXPECT_FALSE(url.host_is_ipv6);
  EXPECT_EQ(url.port, 8443);
  EXPECT_EQ(url.target, "/a/b?x=1&y=2");
  EXPECT_TRUE(url.has_credentials);
  EXPECT_EQ(url.user, "User");
  EXPECT_EQ(url.password, "p@ss");
  EXPECT_EQ(url.Endpoint(), "https://hooks.example.com:8443");
  EXPECT_EQ(url.ToString(), "https://hooks.example.com:8443/a/b?x=1&y=2");
}

TEST(Url, HasTheSchemesPortAndRootWhenTheTextHasNone) {
  EXPECT_EQ(Parsed("http://h").Endpoint(), "http://h:80");
  EXPECT_EQ(Parsed("https://h").Endpoint(), "https://h:443");
  EXPECT_EQ(Parsed("https://h:/x").Endpoint(), "https://h:443");
  EXPECT_EQ(Parsed("https://h:00443/x").ToString(), "https://h/x");
  EXPECT_EQ(Parsed("http://h:443/").ToString(), "http://h:443/");
  EXPECT_EQ(Parsed("http://h:65535/").port, 65535);
  EXPECT_EQ(Parsed("http://h?a=1").target, "/?a=1");
  EXPECT_EQ(Parsed("http://h#x").target, "/");
  EXPECT_EQ(Parsed("http://h/p?#x").target, "/p?");
}

TEST(Url, GivesOneEndpointForEachSpelling) {
  for (const char* text : {"http://example.com/", "HTTP://EXAMPLE.com:80", "http://example.com.:80/x",
                           "http://u:p@example.com"}) {
    EXPECT_EQ(Parsed(text).Endpoint(), "http://example.com:80");
  }
  EXPECT_EQ(Parsed("http://[::0:1]:81").Endpoint(), Parsed("http://[0:0:0:0:0:0:0:1]:81").Endpoint());
  EXPECT_NE(Parsed("http://h:443").Endpoint(), Parsed("https://h").Endpoint());
}

TEST(Url, KeepsPathAndQueryExceptForWhatMustBeEncoded) {
  EXPECT_EQ(Parsed("http://h/a/../b/./c//d?x=/?&a[]=%41%zz").target, "/a/../b/./c//d?x=/?&a[]=%41%zz");
  EXPECT_EQ(Parsed("http://h/caf\xC3\xA9?q=\xF0\x9F\x98\x80").target, "/caf%C3%A9?q=%F0%9F%98%80");
  EXPECT_EQ(Parsed("http://h/{id}|\"<>^`?{}").target, "/%7Bid%7D%7C%22%3C%3E%5E%60?%7B%7D");
  EXPECT_EQ(Parsed("http://h/@me?to=a@b").target, "/@me?to=a@b");
}

TEST(Url, CanonicalisesIpv6) {
  const Url url = Parsed("http://[2001:DB8:0:0::1]:8080/x");
  EXPECT_EQ(url.host, "2001:db8::1");
  EXPECT_TRUE(url.host_is_ipv6);
  EXPECT_EQ(url.Endpoint(), "http://[2001:db8::1]:8080");
  EXPECT_EQ(url.ToString(), "http://[2001:db8::1]:8080/x");
  EXPECT_EQ(Parsed("http://[::FFFF:7f00:1]").host, "::ffff:127.0.0.1");
  EXPECT_EQ(Parsed("https://[::1]").ToString(), "https://[::1]/");
}

TEST(Url, ReadsNumericHostsAsTheAddressThatTheyMean) {
  for (const char* spelling : {"127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0x7F000001",
                               "0X7f.0x0.1", "127.0.1", "017700000001", "127.0.0.1.", "0000177.0.0.1"}) {
    EXPECT_EQ(HostOf(spelling), "127.0.0.1") << spelling;
  }
  EXPECT_EQ(HostOf("0"), "0.0.0.0");
  EXPECT_EQ(HostOf("0x"), "0.0.0.0");
  EXPECT_EQ(HostOf("4294967295"), "255.255.255.255");
  EXPECT_EQ(HostOf("1.2.0xffff"), "1.2.255.255");
  EXPECT_EQ(HostOf("1.0x010203"), "1.1.2.3");
}

TEST(Url, RefusesNumericHostsThatAreNotAnAddress) {
  for (const char* host :
       {"256.0.0.1", "1.2.3.256", "1.2.3.4.5", "1.2.3.4.0", "0.0.0.0.0.1", "18446744073709551617",
        "0x10000000000000001", "4294967296", "08.0.0.1", "1.2.3.09", "example.1", "a.0x1", "1..2",
        "1.2.65536", "0xfffffffff", "0xffffffffffffffffffff", "example.0x", ".1"}) {
    EXPECT_THAT(Refused("http://" + std::string(host) + "/"), HasSubstr("not an IPv4 address")) << host;
  }
}

TEST(Url, TakesNamesThatOnlyLookNumeric) {
  for (const char* host :
       {"1.example", "0x7f.example.com", "1e100.net", "0xzz", "3com", "127.0.0.1.nip.io", "0x7f.1a"}) {
    EXPECT_EQ(HostOf(host), host);
  }
}

TEST(Url, TakesNamesWithUnderscoresHyphensAndADotAtTheEnd) {
  EXPECT_EQ(HostOf("my_service-1.internal."), "my_service-1.internal.");
  EXPECT_EQ(HostOf("xn--bcher-kva.example"), "xn--bcher-kva.example");
  EXPECT_EQ(HostOf("localhost"), "localhost");
  EXPECT_EQ(HostOf(std::string(63, 'a')).size(), 63U);
  const std::string longest = std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') +
                              "." + std::string(61, 'd');
  EXPECT_EQ(HostOf(longest), longest);
  EXPECT_EQ(HostOf(longest + "."), longest + ".");
  EXPECT_THAT(Refused("http://" + longest + "d"), HasSubstr("longer than 253"));
  EXPECT_THAT(Refused("http://" + std::string(64, 'a')), HasSubstr("more than 63"));
}

TEST(Url, RefusesTextThatIsNotAUrl) {
  const std::pair<std::string, const char*> refused[] = {
      {"", "empty"},
      {"example.com/x", "must begin with http:// or https://"},
      {"ftp://h/", "must begin with"},
      {"https:/h/", "must begin with"},
      {"https:h", "must begin with"},
      {"//h/", "must begin with"},
      {"javascript://h/%0aalert(1)", "must begin with"},
      {"xhttps://h", "must begin with"},
      {"http://", "no host"},
      {"http:///x", "no host"},
      {"http://:80/", "no host"},
      {"http://u:p@/", "no host"},
      {"http://?x", "no host"},
      {"http://example.com\\@127.0.0.1/", "backslash"},
      {"https:/\\h", "backslash"},
      {" http://h", "space"},
      {"http://h/a b", "space"},
      {"http://h/ ", "space"},
      {"http://h/\r\nX: y", "control"},
      {"http://h/\t", "control"},
      {"http://h/\x7F", "control"},
      {"http://h/\0x"s, "control"},
      {"http://h/#\x01", "control"},
      {"http://h/\xC2\x85", "control"},
      {"http://h/\xFF", "not UTF-8"},
      {"http://h:0/", "1 to 65535"},
      {"http://h:000", "1 to 65535"},
      {"http://h:65536/", "1 to 65535"},
      {"http://h:99999999999999999999/", "1 to 65535"},
      {"http://h:4294967376/", "1 to 65535"},
      {"http://h:+80/", "not a number"},
      {"http://h:8a/", "not a number"},
      {"http://1:2:3/", "brackets"},
      {"http://::1/", "brackets"},
      {"http://fe80::1/", "brackets"},
      {"http://[fe80::1%25eth0]/", "zone id"},
      {"http://[fe80::1%eth0]/", "zone id"},
      {"http://[::1/", "']'"},
      {"http://[::1]x/", "remove"},
      {"http://[::1]:x/", "not a number"},
      {"http://[::1]:0/", "1 to 65535"},
      {"http://[]/", "not an IPv6 address"},
      {"http://[1.2.3.4]/", "not an IPv6 address"},
      {"http://[v1.x]/", "not an IPv6 address"},
      {"http://[:::]/", "not an IPv6 address"},
      {"http://b\xC3\xBC"
       "cher.example/",
       "xn--"},
      {"http://%31%32%37.0.0.1/", "xn--"},
      {"http://\xE2\x91\xA0.example/", "xn--"},
      {"http://example\xEF\xBC\x8E"
       "com/",
       "xn--"},
      {"http://a..b/", "one '.' too many"},
      {"http://.a/", "one '.' too many"},
      {"http://./", "one '.' too many"},
      {"http://a../", "one '.' too many"},
      {"http://a,b/", "character"},
      {"http://a;b/", "character"},
      {"http://a'b/", "character"},
      {"http://a@b@c/", "%40"},
      {"http://a%3Ab:c@h/", "':'"},
      {"http://a:%0d%0a@h/", "control"},
      {"http://%00:x@h/", "control"},
      {"http://h/" + std::string(kMaxUrlBytes, 'a'), "8,192"},
  };
  for (const auto& [text, reason] : refused) EXPECT_THAT(Refused(text), HasSubstr(reason)) << text;
}

TEST(Url, TakesTheLongestThatIsPermitted) {
  const std::string text = "http://h/" + std::string(kMaxUrlBytes - 9, 'a');
  EXPECT_EQ(Parsed(text).ToString(), text);
}

TEST(Url, ReadsCredentialsAsBasicAuthenticationNeedsThem) {
  const Url both = Parsed("http://us%65r:p%3Aw:%C3%A9%zz@h/");
  EXPECT_EQ(both.user, "user");
  EXPECT_EQ(both.password, "p:w:\xC3\xA9%zz") << "a '%' that does not begin an escape is kept";
  const Url user_only = Parsed("http://token@h/");
  EXPECT_TRUE(user_only.has_credentials);
  EXPECT_EQ(user_only.user, "token");
  EXPECT_EQ(user_only.password, "");
  const Url password_only = Parsed("http://:secret@h/");
  EXPECT_TRUE(password_only.has_credentials);
  EXPECT_EQ(password_only.password, "secret");
  EXPECT_FALSE(Parsed("http://@h/").has_credentials);
  EXPECT_FALSE(Parsed("http://:@h/").has_credentials);
  EXPECT_FALSE(Parsed("http://h/").has_credentials);
}

TEST(Url, NeverQuotesTheTextInAnError) {
  for (const char* text :
       {"http://sekret:sekret:sekret@sekret@h/", "http://sekret:sekret", "http://sekret%zz/?sekret",
        "http://h:sekret/?k=sekret", "http://[sekret]/", "sekret", "http://sekret:a@b,c/",
        "http://u:sekret\\@h/", "http://sekret..h/", "http://sekret%3a:x@h/"}) {
    EXPECT_THAT(Refused(text), Not(HasSubstr("sekret"))) << text;
  }
}

}  // namespace
}  // namespace postcall
