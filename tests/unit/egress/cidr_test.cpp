#include "dispatcher/egress/cidr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postcall::egress {
namespace {

using boost::asio::ip::make_address;
using testing::HasSubstr;

bool Holds(const std::string& range, const std::string& address) {
  const auto cidr = ParseCidr(range);
  return cidr && cidr->Contains(make_address(address));
}

TEST(Cidr, HoldsItsFirstAndLastAddressAndNoneBeyond) {
  EXPECT_TRUE(Holds("10.0.0.0/8", "10.0.0.0"));
  EXPECT_TRUE(Holds("10.0.0.0/8", "10.255.255.255"));
  EXPECT_FALSE(Holds("10.0.0.0/8", "9.255.255.255"));
  EXPECT_FALSE(Holds("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(Holds("100.64.0.0/10", "100.127.255.255"));
  EXPECT_FALSE(Holds("100.64.0.0/10", "100.128.0.0"));
  EXPECT_TRUE(Holds("fe80::/10", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
  EXPECT_FALSE(Holds("fe80::/10", "fec0::"));
  EXPECT_TRUE(Holds("2001:db8::/33", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"));
  EXPECT_FALSE(Holds("2001:db8::/33", "2001:db8:8000::"));
}

TEST(Cidr, OfLengthZeroHoldsItsFamilyAndNoOther) {
  EXPECT_TRUE(Holds("0.0.0.0/0", "255.255.255.255"));
  EXPECT_FALSE(Holds("0.0.0.0/0", "::"));
  EXPECT_FALSE(Holds("0.0.0.0/0", "::ffff:1.2.3.4"));
  EXPECT_TRUE(Holds("::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
  EXPECT_FALSE(Holds("::/0", "0.0.0.0"));
}

TEST(Cidr, HoldsAnAddressWhateverItsZone) { EXPECT_TRUE(Holds("fe80::/10", "fe80::1%1")); }

TEST(Cidr, IsReadFromOneAddressToo) {
  EXPECT_EQ(ParseCidr("192.0.2.7")->ToString(), "192.0.2.7/32");
  EXPECT_EQ(ParseCidr("::1")->ToString(), "::1/128");
  EXPECT_FALSE(Holds("192.0.2.7", "192.0.2.6"));
}

TEST(Cidr, IsWrittenAsItWasRead) {
  for (const std::string text :
       {"0.0.0.0/0", "10.0.0.0/8", "192.0.2.7/32", "::/0", "2001:db8::/32", "::1/128"}) {
    ASSERT_TRUE(ParseCidr(text)) << text;
    EXPECT_EQ(ParseCidr(text)->ToString(), text);
  }
  EXPECT_EQ(ParseCidr("2001:DB8:0::/32")->ToString(), "2001:db8::/32");
}

TEST(Cidr, RefusesTextThatIsNotARangeAndSaysHowToWriteOne) {
  for (const std::string text : {"", "/", "/8", "example.com", "10/8", "10.0.0.0.0/8", "010.0.0.0/8",
                                 "0x0a.0.0.0/8", "167772160/8", " 10.0.0.0/8", "[::1]/128", "10.0.0.0:80",
                                 "fe80::1%lo/64", "fe80::%1/64", "1:2:3:4:5:6:7:8:9/64", "*"}) {
    const auto cidr = ParseCidr(text);
    ASSERT_FALSE(cidr) << text;
    EXPECT_THAT(cidr.error(), HasSubstr("\"" + text + "\"")) << text;
    EXPECT_THAT(cidr.error(), HasSubstr("write it as 203.0.113.0/24")) << text;
  }
  EXPECT_FALSE(ParseCidr(std::string_view("10.0.0.0\0/8", 11)));
}

TEST(Cidr, RefusesALengthOutOfBounds) {
  for (const std::string text :
       {"10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/08",
        "10.0.0.0/8/8", "10.0.0.0/255.0.0.0", "10.0.0.0/99999999999999999999"}) {
    ASSERT_FALSE(ParseCidr(text)) << text;
    EXPECT_THAT(ParseCidr(text).error(), HasSubstr("write a length from 0 to 32")) << text;
  }
  ASSERT_FALSE(ParseCidr("2001:db8::/129"));
  EXPECT_THAT(ParseCidr("2001:db8::/129").error(), HasSubstr("from 0 to 128"));
}

TEST(Cidr, RefusesBitsBeyondItsLengthAndOffersBothMeanings) {
  ASSERT_FALSE(ParseCidr("10.1.2.3/8"));
  EXPECT_EQ(
      ParseCidr("10.1.2.3/8").error(),
      "\"10.1.2.3/8\" is not a usable address range: it has bits set beyond its length; write 10.0.0.0/8 "
      "for the "
      "range, or 10.1.2.3/32 for the one address");
  EXPECT_FALSE(ParseCidr("2001:db8::1/64"));
  EXPECT_FALSE(ParseCidr("128.0.0.0/0"));
}

TEST(Cidr, RefusesMappedIpv4AndOffersTheIpv4Range) {
  ASSERT_FALSE(ParseCidr("::ffff:10.0.0.0/104"));
  EXPECT_THAT(ParseCidr("::ffff:10.0.0.0/104").error(), HasSubstr("write 10.0.0.0/8"));
  ASSERT_FALSE(ParseCidr("::ffff:127.0.0.1"));
  EXPECT_THAT(ParseCidr("::ffff:127.0.0.1").error(), HasSubstr("write 127.0.0.1/32"));
  EXPECT_TRUE(ParseCidr("::ffff:0:0:0/96"));
}

}  // namespace
}  // namespace postcall::egress
