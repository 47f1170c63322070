#include "dispatcher/egress/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace postcall::egress {
namespace {

using boost::asio::ip::address_v4;
using boost::asio::ip::address_v6;
using boost::asio::ip::make_address;

std::vector<Cidr> Ranges(const std::vector<std::string>& texts) {
  std::vector<Cidr> ranges;
  for (const std::string& text : texts) {
    const auto cidr = ParseCidr(text);
    if (!cidr) throw std::invalid_argument(cidr.error());
    ranges.push_back(*cidr);
  }
  return ranges;
}

Policy Allowing(const std::vector<std::string>& allowed, const std::vector<std::string>& denied = {}) {
  return Policy(Ranges(allowed), Ranges(denied));
}

testing::AssertionResult Allows(const Policy& policy, const std::string& address) {
  const auto parsed = make_address(address);
  const std::string why = policy.Explain(parsed);
  return (policy.Allows(parsed) ? testing::AssertionSuccess() : testing::AssertionFailure()) << why;
}

// Every IPv6 address that contains the IPv4 address `inner`.
std::vector<std::string> Spellings(const std::string& inner) {
  const auto b = boost::asio::ip::make_address_v4(inner).to_bytes();
  const auto hex = [&](int i, int j, unsigned flip = 0) {
    char text[8];
    std::snprintf(text, sizeof text, "%02x%02x", b[static_cast<std::size_t>(i)] ^ flip,
                  b[static_cast<std::size_t>(j)] ^ flip);
    return std::string(text);
  };
  const std::string tail = hex(0, 1) + ":" + hex(2, 3);
  return {
      "::ffff:" + tail,
      "64:ff9b::" + tail,
      "::" + tail,
      "::ffff:0:" + tail,
      "64:ff9b:1::" + tail,
      "64:ff9b:1:" + hex(0, 1) + ":00" + hex(2, 3).substr(0, 2) + ":" + hex(2, 3).substr(2) + "00::",  // /48
      "2002:" + tail + "::1",
      "2001:0:" + tail + "::f7f7:f7f7",                              // Teredo, as the server
      "2001:0:808:808::" + hex(0, 1, 0xff) + ":" + hex(2, 3, 0xff),  // Teredo, as the client
  };
}

TEST(Policy, AdmitsOnlyPublicAddressesByDefault) {
  const Policy policy;
  EXPECT_TRUE(Allows(policy, "8.8.8.8"));
  EXPECT_TRUE(Allows(policy, "2606:4700:4700::1111"));
  EXPECT_FALSE(Allows(policy, "127.0.0.1"));
  EXPECT_FALSE(Allows(policy, "169.254.169.254"));
  EXPECT_FALSE(Allows(policy, "::1"));
  EXPECT_FALSE(Allows(policy, "fe80::1%1"));
  EXPECT_FALSE(Allows(policy, "2001:db8::1"));
}

TEST(Policy, AdmitsIpv4InsideIpv6ByDefaultOnlyForPublicAddressesBehindNat64) {
  const Policy policy;
  for (const std::string inner : {"127.0.0.1", "10.0.0.1", "169.254.169.254", "8.8.8.8"}) {
    for (const std::string& spelling : Spellings(inner)) {
      EXPECT_EQ(policy.Allows(make_address(spelling)), spelling == "64:ff9b::0808:0808") << spelling;
    }
  }
}

TEST(Policy, JudgesAnAddressBehindNat64ByTheIpv4AddressInIt) {
  const Policy policy;
  EXPECT_TRUE(Allows(policy, "64:ff9b::8.8.8.8"));
  EXPECT_TRUE(Allows(policy, "64:ff9b::93.184.216.34"));
  for (const std::string inner :
       {"0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "168.63.129.16", "169.254.169.254", "172.16.0.1",
        "192.168.1.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"}) {
    EXPECT_FALSE(Allows(policy, "64:ff9b::" + inner));
  }
  EXPECT_FALSE(Allows(policy, "64:ff9b:0:0:0:1:808:808"));  // beyond the prefix
  EXPECT_FALSE(Allows(policy, "64:ff9b:1::8.8.8.8"));       // a network's own translator
}

TEST(Policy, LetsExceptionsForIpv4HoldBehindNat64) {
  const Policy policy = Allowing({"10.20.0.0/16"}, {"8.8.8.0/24", "10.20.30.0/24"});
  EXPECT_TRUE(Allows(policy, "64:ff9b::10.20.0.1"));
  EXPECT_FALSE(Allows(policy, "64:ff9b::10.21.0.1"));
  EXPECT_FALSE(Allows(policy, "64:ff9b::8.8.8.8"));
  EXPECT_TRUE(Allows(policy, "64:ff9b::8.8.4.4"));
  EXPECT_FALSE(Allows(policy, "64:ff9b::10.20.30.1"));
  EXPECT_FALSE(Allows(policy, "64:ff9b:1::10.20.0.1"));
}

TEST(Policy, LetsExceptionsForNat64HoldOnlyForNat64) {
  EXPECT_FALSE(Allows(Allowing({}, {"64:ff9b::/96"}), "64:ff9b::8.8.8.8"));  // no translator here
  EXPECT_TRUE(Allows(Allowing({}, {"64:ff9b::/96"}), "8.8.8.8"));
  EXPECT_FALSE(Allows(Allowing({"10.0.0.0/8"}, {"64:ff9b::/96"}), "64:ff9b::10.0.0.1"));
  const Policy policy = Allowing({"64:ff9b::10.0.0.0/104"});
  EXPECT_TRUE(Allows(policy, "64:ff9b::10.0.0.1"));
  EXPECT_FALSE(Allows(policy, "10.0.0.1"));
}

TEST(Policy, AllowsWhatTheOperatorAllows) {
  const Policy policy = Allowing({"10.1.0.0/16", "fd00::/8", "::1"});
  EXPECT_TRUE(Allows(policy, "10.1.255.255"));
  EXPECT_FALSE(Allows(policy, "10.2.0.0"));
  EXPECT_TRUE(Allows(policy, "fd12::1"));
  EXPECT_TRUE(Allows(policy, "::1"));
  EXPECT_FALSE(Allows(policy, "::2"));
  EXPECT_TRUE(Allows(policy, "8.8.8.8"));
}

TEST(Policy, LetsDenyBeatAllowAndTheDefault) {
  const Policy policy =
      Allowing({"10.0.0.0/8", "10.1.2.3/32"}, {"10.1.0.0/16", "8.8.8.0/24", "2606:4700::/32"});
  EXPECT_TRUE(Allows(policy, "10.2.0.1"));
  EXPECT_FALSE(Allows(policy, "10.1.2.3"));  // although the allowed range is narrower
  EXPECT_FALSE(Allows(policy, "8.8.8.8"));
  EXPECT_TRUE(Allows(policy, "8.8.4.4"));
  EXPECT_FALSE(Allows(policy, "2606:4700:4700::1111"));
}

TEST(Policy, LetsAnIpv4AllowCoverTheMappedSpellingAndNat64AndNoOther) {
  const Policy policy = Allowing({"10.0.0.0/8"});
  const std::vector<std::string> spellings = Spellings("10.0.0.1");
  for (std::size_t i = 0; i < spellings.size(); ++i) {
    EXPECT_EQ(policy.Allows(make_address(spellings[i])), i < 2) << spellings[i];
  }
  EXPECT_FALSE(Allows(policy, "::ffff:11.0.0.1"));
}

TEST(Policy, LetsAnIpv4DenyCoverEverySpelling) {
  const Policy policy = Allowing({"0.0.0.0/0", "::/0", "64:ff9b::a00:0/104"}, {"10.0.0.0/8"});
  for (const std::string& spelling : Spellings("10.0.0.1")) {
    EXPECT_FALSE(Allows(policy, spelling)) << spelling;
    EXPECT_THAT(policy.Explain(make_address(spelling)), testing::HasSubstr("denied by 10.0.0.0/8"));
  }
}

TEST(Policy, KeepsAnAllowedTranslatorFromReachingInside) {
  const Policy policy = Allowing({"64:ff9b::/96", "64:ff9b:1:ffff::/96", "2002::/16", "2001::/32"});
  EXPECT_TRUE(Allows(policy, "64:ff9b::8.8.8.8"));
  EXPECT_FALSE(Allows(policy, "64:ff9b::10.0.0.1"));
  EXPECT_FALSE(Allows(policy, "64:ff9b::169.254.169.254"));
  EXPECT_TRUE(Allows(policy, "64:ff9b:1:ffff::8.8.8.8"));
  EXPECT_FALSE(Allows(policy, "64:ff9b:1:ffff::10.0.0.1"));
  EXPECT_FALSE(Allows(policy, "64:ff9b:1:fffe::8.8.8.8"));
  EXPECT_TRUE(Allows(policy, "2002:808:808::1"));
  EXPECT_FALSE(Allows(policy, "2002:7f00:1::1"));
  EXPECT_TRUE(Allows(policy, "2001:0:808:808::f7f7:f7f7"));
  EXPECT_FALSE(Allows(policy, "2001:0:a00:1::f7f7:f7f7"));    // server 10.0.0.1
  EXPECT_FALSE(Allows(policy, "2001:0:808:808::f5ff:fffe"));  // client 10.0.0.1
  EXPECT_FALSE(Allows(policy, "2001:0:808:808::80ff:fffe"));  // client 127.0.0.1
}

TEST(Policy, FollowsAnAllowThatReachesIntoTheIpv4Part) {
  const Policy policy =
      Allowing({"64:ff9b::/96", "64:ff9b::a00:0/104", "64:ff9b::/64", "2002:a00:1::/48", "::7f00:1/128"});
  EXPECT_TRUE(Allows(policy, "64:ff9b::10.0.0.1"));
  EXPECT_TRUE(Allows(policy, "64:ff9b::11.0.0.1"));
  EXPECT_FALSE(Allows(policy, "64:ff9b::127.0.0.1"));
  EXPECT_TRUE(Allows(policy, "2002:a00:1::1"));
  EXPECT_FALSE(Allows(policy, "2002:a00:2::1"));
  EXPECT_TRUE(Allows(policy, "::127.0.0.1"));
}

TEST(Policy, CanBeOpenedCompletely) {
  const Policy policy = Allowing({"0.0.0.0/0", "::/0"});
  for (const std::string text : {"127.0.0.1", "::1", "::", "fe80::1", "::ffff:10.0.0.1", "255.255.255.255"}) {
    EXPECT_TRUE(Allows(policy, text)) << text;
  }
}

TEST(Policy, CanBeClosedCompletely) {
  const Policy policy = Allowing({}, {"0.0.0.0/0", "::/0"});
  EXPECT_FALSE(Allows(policy, "8.8.8.8"));
  EXPECT_FALSE(Allows(policy, "2606:4700:4700::1111"));
}

TEST(Policy, ExplainsWhichRangeDecided) {
  const Policy policy = Allowing({"10.0.0.0/8", "64:ff9b::/96"}, {"10.1.0.0/16"});
  const auto explain = [&](const std::string& text) { return policy.Explain(make_address(text)); };
  EXPECT_EQ(explain("8.8.8.8"), "8.8.8.8 is publicly routable");
  EXPECT_EQ(explain("10.2.0.1"), "10.2.0.1 is allowed by 10.0.0.0/8");
  EXPECT_EQ(explain("10.1.0.1"), "10.1.0.1 is denied by 10.1.0.0/16");
  EXPECT_EQ(explain("192.168.1.1"), "192.168.1.1 is not publicly routable: 192.168.0.0/16 (private network)");
  EXPECT_EQ(explain("2002:808:808::1"), "2002:808:808::1 is not publicly routable: 2002::/16 (6to4)");
  EXPECT_EQ(explain("64:ff9b::8.8.8.8"), "64:ff9b::808:808 is allowed by 64:ff9b::/96");
  EXPECT_EQ(explain("64:ff9b::10.2.0.1"),
            "64:ff9b::a02:1, which stands for 10.2.0.1, is allowed by 10.0.0.0/8");
  EXPECT_EQ(explain("64:ff9b::127.0.0.1"),
            "64:ff9b::7f00:1, which stands for 127.0.0.1, is not publicly routable: 127.0.0.0/8 (loopback)");
  EXPECT_EQ(explain("::ffff:10.1.0.1"),
            "::ffff:10.1.0.1, which stands for 10.1.0.1, is denied by 10.1.0.0/16");
}

TEST(Policy, NeverAdmitsAnIpv6AddressOutsideGlobalUnicastByDefault) {
  const Policy policy;
  std::mt19937_64 random(1);
  for (int i = 0; i < 50000; ++i) {
    address_v6::bytes_type bytes;
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    if (i % 2 == 0) std::fill_n(bytes.begin(), random() % 13, std::uint8_t{0});
    if ((bytes[0] & 0xe0) == 0x20) bytes[0] ^= 0x80;
    if (address_v6(bytes).to_string().starts_with("64:ff9b::")) continue;
    ASSERT_FALSE(policy.Allows(address_v6(bytes))) << address_v6(bytes);
  }
}

TEST(Policy, AdmitsNoSpellingOfAPrivateIpv4AddressWhicheverIpv6IsAllowed) {
  const Policy policy = Allowing({"::/0"});
  std::mt19937_64 random(2);
  for (int i = 0; i < 3000; ++i) {
    const auto host = static_cast<std::uint32_t>(random()) & 0xffffff;
    const std::string inner = address_v4(0x0a000000 | host).to_string();
    for (const std::string& spelling : Spellings(inner)) ASSERT_FALSE(Allows(policy, spelling)) << spelling;
  }
}

}  // namespace
}  // namespace postcall::egress
