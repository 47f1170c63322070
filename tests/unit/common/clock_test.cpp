#include "common/clock.h"

#include <gtest/gtest.h>

namespace postcall {
namespace {

using namespace std::chrono_literals;

TEST(ClockAnchor, KnowsLaterDatabaseTimeFromTheSteadyClock) {
  const SteadyTime start = Steady::now();
  const ClockAnchor anchor{DatabaseTime(1'700'000'000'000'000us), start};
  EXPECT_EQ(anchor.ToDatabaseTime(start), anchor.at);
  EXPECT_EQ(anchor.ToDatabaseTime(start + 10'250ms), anchor.at + 10'250ms);
  EXPECT_EQ(anchor.ToDatabaseTime(start - 1s), anchor.at - 1s)
      << "a moment before the anchor has a database time too";
}

TEST(Clock, GivesDurationsAsFractions) {
  EXPECT_DOUBLE_EQ(Milliseconds(1'500us), 1.5);
  EXPECT_DOUBLE_EQ(Seconds(2'500ms), 2.5);
}

}  // namespace
}  // namespace postcall
