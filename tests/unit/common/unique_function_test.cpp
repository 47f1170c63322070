#include "common/unique_function.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace postcall {
namespace {

TEST(UniqueFunction, OwnsWhatCannotBeCopied) {
  UniqueFunction<int()> function = [number = std::make_unique<int>(7)] { return *number; };
  EXPECT_EQ(function(), 7);
  static_assert(!std::is_copy_constructible_v<UniqueFunction<int()>>);
  static_assert(!std::is_copy_assignable_v<UniqueFunction<int()>>);
}

TEST(UniqueFunction, MayPassOnWhatItOwns) {
  std::unique_ptr<int> taken;
  UniqueFunction<void()> function = [&taken, number = std::make_unique<int>(7)]() mutable {
    taken = std::move(number);
  };
  function();
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, 7);
}

TEST(UniqueFunction, PassesArgumentsOnWithoutACopy) {
  UniqueFunction<std::string(std::unique_ptr<std::string>, const std::vector<int>&, int&)> function =
      [](std::unique_ptr<std::string> text, const std::vector<int>& numbers, int& count) {
        count += static_cast<int>(numbers.size());
        return std::move(*text);
      };
  int count = 1;
  EXPECT_EQ(function(std::make_unique<std::string>("text"), {1, 2}, count), "text");
  EXPECT_EQ(count, 3);
}

TEST(UniqueFunction, IsEmptyBeforeItHoldsAFunctionAndAfterAMove) {
  UniqueFunction<int()> function;
  EXPECT_FALSE(function);
  EXPECT_FALSE(UniqueFunction<int()>(nullptr));
  function = [] { return 7; };
  EXPECT_TRUE(function);

  UniqueFunction<int()> other = std::move(function);
  EXPECT_FALSE(function);  // NOLINT(bugprone-use-after-move): the test is about the state after a move
  EXPECT_EQ(other(), 7);
}

TEST(UniqueFunction, DestroysWhatItHoldsWhenItIsReplaced) {
  const auto held = std::make_shared<int>(7);
  UniqueFunction<int()> function = [held] { return *held; };
  EXPECT_EQ(held.use_count(), 2);
  function = nullptr;
  EXPECT_EQ(held.use_count(), 1);
}

int Seven() { return 7; }

TEST(UniqueFunction, HoldsAPlainFunction) {
  UniqueFunction<int()> function = Seven;
  EXPECT_EQ(function(), 7);
}

}  // namespace
}  // namespace postcall
