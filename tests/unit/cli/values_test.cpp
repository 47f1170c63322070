#include "dispatcher/cli/values.h"

#include <gtest/gtest.h>

namespace postcall::cli {
namespace {

constexpr std::int64_t kMost = 1LL << 40;

TEST(Values, WholeNumbersAreTakenWithinTheirRange) {
  EXPECT_EQ(*ParseWhole("1", 1, 10'000), 1);
  EXPECT_EQ(*ParseWhole("10000", 1, 10'000), 10'000);
  for (const char* text :
       {"0", "10001", "-1", "", " 1", "1 ", "1.5", "1e3", "0x10", "ten", "+1", "99999999999999999999"}) {
    ASSERT_FALSE(ParseWhole(text, 1, 10'000)) << text;
    EXPECT_EQ(ParseWhole(text, 1, 10'000).error(), "must be a whole number from 1 to 10000");
  }
}

TEST(Values, SharesAreFromZeroToOne) {
  EXPECT_EQ(*ParseShare("0"), 0);
  EXPECT_EQ(*ParseShare("1"), 1);
  EXPECT_EQ(*ParseShare("0.25"), 0.25);
  for (const char* text : {"-0.1", "1.01", "nan", "inf", "25%", "0,25", "", "half"}) {
    EXPECT_FALSE(ParseShare(text)) << text;
  }
}

TEST(Values, SizesAreBytesWithBinaryUnits) {
  EXPECT_EQ(*ParseBytes("0", 0, kMost), 0);
  EXPECT_EQ(*ParseBytes("4096", 0, kMost), 4096);
  EXPECT_EQ(*ParseBytes("4096B", 0, kMost), 4096);
  EXPECT_EQ(*ParseBytes("64KiB", 0, kMost), 64 << 10);
  EXPECT_EQ(*ParseBytes("512MiB", 0, kMost), 512 << 20);
  EXPECT_EQ(*ParseBytes("512 MiB", 0, kMost), 512 << 20);
  EXPECT_EQ(*ParseBytes("2gib", 0, kMost), 2LL << 30);
  EXPECT_EQ(*ParseBytes("1TiB", 0, kMost), kMost);
}

TEST(Values, SizesThatMayMeanAnotherThingAreRefused) {
  for (const char* text : {"", "MiB", "512MB", "512M", "1.5GiB", "-1", "-1KiB", "512  MiB", "512 MiB ",
                           "2TiB", "9223372036854775807KiB", "0x10"}) {
    EXPECT_FALSE(ParseBytes(text, 0, kMost)) << text;
  }
  EXPECT_EQ(ParseBytes("1KiB", 1 << 20, kMost).error(),
            "must be a size from 1 MiB to 1 TiB, such as 4096, 64KiB, 512MiB or 2GiB");
}

TEST(Values, SwitchesAreTrueOrFalse) {
  for (const char* text : {"true", "TRUE", "yes", "on", "1"}) EXPECT_TRUE(*ParseSwitch(text)) << text;
  for (const char* text : {"false", "no", "Off", "0"}) EXPECT_FALSE(*ParseSwitch(text)) << text;
  for (const char* text : {"", "maybe", "2", "tru"}) EXPECT_FALSE(ParseSwitch(text)) << text;
}

}  // namespace
}  // namespace postcall::cli
