#include "common/strong_id.h"

#include <gtest/gtest.h>
#include <type_traits>
#include <unordered_set>

namespace postcall {
namespace {

using FirstId = StrongId<struct FirstTag, std::string>;
using SecondId = StrongId<struct SecondTag, std::string>;

static_assert(!std::is_convertible_v<FirstId, SecondId>, "one kind of id is not another");
static_assert(!std::is_convertible_v<std::string, FirstId>, "text becomes an id only where it is said so");

TEST(StrongId, ComparesByItsValue) {
  EXPECT_EQ(FirstId("a"), FirstId("a"));
  EXPECT_NE(FirstId("a"), FirstId("b"));
  EXPECT_LT(FirstId("a"), FirstId("b"));
}

TEST(StrongId, IsAKeyOfHashedContainers) {
  std::unordered_set<FirstId> ids;
  ids.insert(FirstId("a"));
  ids.insert(FirstId("a"));
  ids.insert(FirstId("b"));
  EXPECT_EQ(ids.size(), 2U);
  EXPECT_TRUE(ids.contains(FirstId("b")));
}

}  // namespace
}  // namespace postcall
