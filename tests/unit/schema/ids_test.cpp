#include "schema/ids.h"

#include <gtest/gtest.h>

#include <limits>
#include <unordered_set>

namespace postcall {
namespace {

DispatcherId Dispatcher() { return DispatcherId(Uuid::Parse("a1b2c3d4-e5f6-4789-0000-000000000000")); }

TEST(DispatcherId, IsRandomInItsFirstEightBytesAlone) {
  std::unordered_set<DispatcherId> drawn;
  for (int i = 0; i < 1000; ++i) {
    const DispatcherId id = DispatcherId::Random();
    EXPECT_EQ(id.get().ToString().substr(18), "-0000-000000000000");
    EXPECT_TRUE(drawn.insert(id).second);
  }
}

TEST(ClaimId, IsTheDispatchersBytesAndTheClaimsNumber) {
  EXPECT_EQ(ClaimId::Of(Dispatcher(), 1).get().ToString(), "a1b2c3d4-e5f6-4789-0000-000000000001");
  EXPECT_EQ(ClaimId::Of(Dispatcher(), 0x0123456789abcdef).get().ToString(),
            "a1b2c3d4-e5f6-4789-0123-456789abcdef");
}

// As the column is compared: byte by byte.
TEST(ClaimId, IsGreaterForALaterClaim) {
  for (const std::uint64_t number : {std::uint64_t{1}, std::uint64_t{255}, std::uint64_t{65'535}})
    EXPECT_LT(ClaimId::Of(Dispatcher(), number), ClaimId::Of(Dispatcher(), number + 1));
}

TEST(ClaimId, IsWithinTheRangeOfItsDispatcherAndNoOther) {
  const auto [first, last] = ClaimId::RangeOf(Dispatcher());
  for (const std::uint64_t number :
       {std::uint64_t{0}, std::uint64_t{7}, std::numeric_limits<std::uint64_t>::max()}) {
    EXPECT_LE(first, ClaimId::Of(Dispatcher(), number));
    EXPECT_LE(ClaimId::Of(Dispatcher(), number), last);
  }
  const DispatcherId next(Uuid::Parse("a1b2c3d4-e5f6-478a-0000-000000000000"));
  EXPECT_GT(ClaimId::Of(next, 0), last);
}

}  // namespace
}  // namespace postcall
