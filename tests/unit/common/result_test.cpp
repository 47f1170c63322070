#include "common/result.h"

#include <gtest/gtest.h>
#include <memory>

namespace postcall {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) return Error{"the number is odd: give an even one"};
  return value / 2;
}

TEST(Result, HoldsAValueOrTheReasonWhyThereIsNone) {
  const Result<int> half = Half(8);
  ASSERT_TRUE(half);
  EXPECT_EQ(*half, 4);

  const Result<int> none = Half(7);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error(), "the number is odd: give an even one");
}

TEST(Result, TellsAnEmptyValueFromNone) { EXPECT_TRUE(Result<std::string>(std::string())); }

TEST(Result, CarriesWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> owner(std::make_unique<int>(5));
  const std::unique_ptr<int> taken = std::move(*owner);
  EXPECT_EQ(*taken, 5);
}

TEST(Result, ReachesMembersOfItsValue) {
  const Result<std::string> text(std::string("four"));
  EXPECT_EQ(text->size(), 4U);
}

}  // namespace
}  // namespace postcall
