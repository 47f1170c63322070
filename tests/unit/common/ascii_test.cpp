#include "common/ascii.h"

#include <gtest/gtest.h>

namespace postcall {
namespace {

TEST(Ascii, IsLoweredAndNothingElseIs) {
  EXPECT_EQ(ToLower("X-Api-Key"), "x-api-key");
  EXPECT_EQ(ToLower("@[`{ÄÖ\xC4"), "@[`{ÄÖ\xC4");
  EXPECT_EQ(ToLower(std::string_view("A\0B", 3)), std::string("a\0b", 3));
}

TEST(Ascii, IsEqualInAnyCase) {
  EXPECT_TRUE(EqualInAnyCase("LocalHost", "lOCALhOST"));
  EXPECT_TRUE(EqualInAnyCase("", ""));
  EXPECT_FALSE(EqualInAnyCase("localhost", "localhost."));
  EXPECT_FALSE(EqualInAnyCase("@", "`"));
  EXPECT_FALSE(EqualInAnyCase("Ä", "ä"));
}

}  // namespace
}  // namespace postcall
