#include "dispatcher/egress/special_ranges.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>

namespace postcall::egress {
namespace {

using boost::asio::ip::address_v6;
using boost::asio::ip::make_address;

// The first and last address of a special range, and the addresses before and after it; "" when such an
// address is in another special range, which has its own line.
struct Boundary {
  std::string before;
  std::string first;
  std::string last;
  std::string after;
};

std::string RangeOf(const std::string& text) {
  const SpecialRange* found = FindSpecialRange(make_address(text));
  return found == nullptr ? "public" : found->range.ToString();
}

void ExpectBoundary(const Boundary& boundary, const std::string& range) {
  EXPECT_EQ(RangeOf(boundary.first), range);
  EXPECT_EQ(RangeOf(boundary.last), range);
  for (const std::string& neighbour : {boundary.before, boundary.after}) {
    if (!neighbour.empty()) {
      EXPECT_EQ(RangeOf(neighbour), "public") << neighbour;
    }
  }
}

TEST(SpecialRanges, CloseEachIpv4RangeToItsEdges) {
  ExpectBoundary({"", "0.0.0.0", "0.255.255.255", "1.0.0.0"}, "0.0.0.0/8");
  ExpectBoundary({"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"}, "10.0.0.0/8");
  ExpectBoundary({"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"}, "100.64.0.0/10");
  ExpectBoundary({"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"}, "127.0.0.0/8");
  ExpectBoundary({"168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17"}, "168.63.129.16/32");
  ExpectBoundary({"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"}, "169.254.0.0/16");
  ExpectBoundary({"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"}, "172.16.0.0/12");
  ExpectBoundary({"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"}, "192.0.0.0/24");
  ExpectBoundary({"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"}, "192.0.2.0/24");
  ExpectBoundary({"192.31.195.255", "192.31.196.0", "192.31.196.255", "192.31.197.0"}, "192.31.196.0/24");
  ExpectBoundary({"192.52.192.255", "192.52.193.0", "192.52.193.255", "192.52.194.0"}, "192.52.193.0/24");
  ExpectBoundary({"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"}, "192.88.99.0/24");
  ExpectBoundary({"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"}, "192.168.0.0/16");
  ExpectBoundary({"192.175.47.255", "192.175.48.0", "192.175.48.255", "192.175.49.0"}, "192.175.48.0/24");
  ExpectBoundary({"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"}, "198.18.0.0/15");
  ExpectBoundary({"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"}, "198.51.100.0/24");
  ExpectBoundary({"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"}, "203.0.113.0/24");
  ExpectBoundary({"223.255.255.255", "224.0.0.0", "239.255.255.255", ""}, "224.0.0.0/4");
  ExpectBoundary({"", "240.0.0.0", "255.255.255.254", ""}, "240.0.0.0/4");
  ExpectBoundary({"", "255.255.255.255", "255.255.255.255", ""}, "255.255.255.255/32");
}

TEST(SpecialRanges, CloseTheProtocolAnycastInsideIetfAssignments) {
  EXPECT_EQ(RangeOf("192.0.0.9"), "192.0.0.0/24");
  EXPECT_EQ(RangeOf("192.0.0.10"), "192.0.0.0/24");
  EXPECT_EQ(RangeOf("192.0.0.192"), "192.0.0.0/24");  // a cloud's metadata service
}

TEST(SpecialRanges, CloseMetadataServices) {
  for (const std::string text : {"169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254",
                                 "fd20:ce::254", "fe80::a9fe:a9fe"}) {
    EXPECT_NE(RangeOf(text), "public") << text;
  }
}

TEST(SpecialRanges, CloseEachSpecialPartOfGlobalUnicastIpv6ToItsEdges) {
  const auto last = [](const std::string& prefix, int groups) {
    std::string text = prefix;
    for (int i = groups; i < 8; ++i) text += ":ffff";
    return text;
  };
  ExpectBoundary({last("2000:ffff", 2), "2001::", last("2001:0", 2), ""}, "2001::/32");
  ExpectBoundary({"", "2001:1::1", "2001:1::1", ""}, "2001:1::1/128");
  ExpectBoundary({"", "2001:1::2", "2001:1::2", ""}, "2001:1::2/128");
  ExpectBoundary({"", "2001:1::3", "2001:1::3", ""}, "2001:1::3/128");
  ExpectBoundary({"", "2001:2::", last("2001:2:0", 3), ""}, "2001:2::/48");
  ExpectBoundary({"", "2001:3::", last("2001:3", 2), ""}, "2001:3::/32");
  ExpectBoundary({"", "2001:4:112::", last("2001:4:112", 3), ""}, "2001:4:112::/48");
  ExpectBoundary({"", "2001:10::", last("2001:1f", 2), ""}, "2001:10::/28");
  ExpectBoundary({"", "2001:20::", last("2001:2f", 2), ""}, "2001:20::/28");
  ExpectBoundary({"", "2001:30::", last("2001:3f", 2), ""}, "2001:30::/28");
  ExpectBoundary({"", "2001:1::", last("2001:1ff", 2), "2001:200::"}, "2001::/23");
  ExpectBoundary({last("2001:db7", 2), "2001:db8::", last("2001:db8", 2), "2001:db9::"}, "2001:db8::/32");
  ExpectBoundary({last("2001:ffff", 2), "2002::", last("2002", 1), "2003::"}, "2002::/16");
  ExpectBoundary({last("2620:4f:7fff", 3), "2620:4f:8000::", last("2620:4f:8000", 3), "2620:4f:8001::"},
                 "2620:4f:8000::/48");
  ExpectBoundary({last("3ffe:ffff", 2), "3fff::", last("3fff:fff", 2), "3fff:1000::"}, "3fff::/20");
  EXPECT_EQ(RangeOf("2001:2:1::"), "2001::/23");
  EXPECT_EQ(RangeOf("2001:4:111::"), "2001::/23");
  EXPECT_EQ(RangeOf("2001:4:113::"), "2001::/23");
  EXPECT_EQ(RangeOf("2001:40::"), "2001::/23");
}

TEST(SpecialRanges, NameRangesOutsideGlobalUnicastIpv6) {
  EXPECT_EQ(RangeOf("::"), "::/128");
  EXPECT_EQ(RangeOf("::1"), "::1/128");
  EXPECT_EQ(RangeOf("::2"), "::/96");
  EXPECT_EQ(RangeOf("::ffff:ffff"), "::/96");
  EXPECT_EQ(RangeOf("::1:0:0"), "::/0");
  EXPECT_EQ(RangeOf("::ffff:8.8.8.8"), "::ffff:0.0.0.0/96");
  EXPECT_EQ(RangeOf("::ffff:0:808:808"), "::ffff:0:0:0/96");
  EXPECT_EQ(RangeOf("64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff"), "::/0");
  EXPECT_EQ(RangeOf("64:ff9b::1:0:0"), "::/0");
  EXPECT_EQ(RangeOf("64:ff9b:1::"), "64:ff9b:1::/48");
  EXPECT_EQ(RangeOf("64:ff9b:1:ffff:ffff:ffff:ffff:ffff"), "64:ff9b:1::/48");
  EXPECT_EQ(RangeOf("64:ff9b:2::"), "::/0");
  EXPECT_EQ(RangeOf("100::1"), "100::/64");
  EXPECT_EQ(RangeOf("100:0:0:1::"), "100:0:0:1::/64");
  EXPECT_EQ(RangeOf("100:0:0:2::"), "::/0");
  EXPECT_EQ(RangeOf("1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "::/0");
  EXPECT_EQ(RangeOf("2000::"), "public");
  EXPECT_EQ(RangeOf("3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "public");
  EXPECT_EQ(RangeOf("4000::"), "::/0");
  EXPECT_EQ(RangeOf("5f00::1"), "5f00::/16");
  EXPECT_EQ(RangeOf("5f01::"), "::/0");
  EXPECT_EQ(RangeOf("fbff::"), "::/0");
  EXPECT_EQ(RangeOf("fc00::"), "fc00::/7");
  EXPECT_EQ(RangeOf("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "fc00::/7");
  EXPECT_EQ(RangeOf("fe00::"), "::/0");
  EXPECT_EQ(RangeOf("fe80::1"), "fe80::/10");
  EXPECT_EQ(RangeOf("fec0::"), "fec0::/10");
  EXPECT_EQ(RangeOf("feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "fec0::/10");
  EXPECT_EQ(RangeOf("ff02::1"), "ff00::/8");
  EXPECT_EQ(RangeOf("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "ff00::/8");
}

TEST(SpecialRanges, LeaveWellKnownPublicAddressesOpen) {
  for (const std::string text :
       {"1.1.1.1", "8.8.8.8", "93.184.216.34", "223.255.255.254", "2606:4700:4700::1111",
        "2001:4860:4860::8888", "2a00:1450:4001::200e", "2400:cb00::1", "2c0f:fb50::1",
        "64:ff9b::", "64:ff9b::ffff:ffff"}) {  // a NAT64 address is judged by its IPv4 address, elsewhere
    EXPECT_EQ(RangeOf(text), "public") << text;
  }
}

TEST(SpecialRanges, HoldEveryIpv6AddressOutsideGlobalUnicast) {
  std::mt19937_64 random(20240607);
  for (int i = 0; i < 50000; ++i) {
    address_v6::bytes_type bytes;
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    // Special ranges have runs of zeros and ones, which are rare in random bits.
    if (i % 3 == 1) std::fill_n(bytes.begin() + 1, random() % 12, std::uint8_t{0});
    if (i % 3 == 2) std::fill_n(bytes.begin() + 1, random() % 12, std::uint8_t{0xff});
    if (i % 5 == 0) bytes[0] = 0;
    if ((bytes[0] & 0xe0) == 0x20) bytes[0] ^= 0x40;
    const address_v6 address(bytes);
    if (address.to_string().starts_with("64:ff9b::")) continue;
    ASSERT_NE(FindSpecialRange(address), nullptr) << address.to_string();
  }
}

}  // namespace
}  // namespace postcall::egress
