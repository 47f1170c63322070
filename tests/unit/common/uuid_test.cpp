#include "common/uuid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unordered_set>

namespace postcall {
namespace {

TEST(Uuid, PrintsAsPostgreSqlDoes) {
  Uuid uuid;
  for (std::size_t i = 0; i < uuid.bytes.size(); ++i)
    uuid.bytes[i] = static_cast<std::uint8_t>(0x10 * i + 15 - i);
  EXPECT_EQ(uuid.ToString(), "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
  EXPECT_EQ(Uuid{}.ToString(), "00000000-0000-0000-0000-000000000000");
}

TEST(Uuid, IsReadAsItIsPrinted) {
  const Uuid uuid = Uuid::Random();
  EXPECT_EQ(Uuid::Parse(uuid.ToString()), uuid);
}

TEST(Uuid, IsVersion4WhenDrawnAtRandom) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_THAT(Uuid::Random().ToString(),
                testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  }
}

TEST(Uuid, IsNeverDrawnTwice) {
  std::unordered_set<Uuid> drawn;
  for (int i = 0; i < 10'000; ++i) drawn.insert(Uuid::Random());
  EXPECT_EQ(drawn.size(), 10'000U);
}

TEST(Uuid, IsOrderedByItsBytes) {
  Uuid low;
  Uuid high;
  low.bytes[15] = 255;
  high.bytes[0] = 1;
  EXPECT_LT(low, high);
}

}  // namespace
}  // namespace postcall
