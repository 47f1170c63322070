#include "common/pulse.h"

#include <gtest/gtest.h>

namespace postcall {
namespace {

TEST(Pulse, NamesTheThreadsThatHaveNotTurned) {
  Pulse pulse;
  Pulse::Beat& claim = pulse.Add("claim");
  Pulse::Beat& record = pulse.Add("record");
  const SteadyTime now = Steady::now() + std::chrono::minutes(1);
  claim.Turned(now);
  EXPECT_EQ(pulse.StuckSince(now), (std::vector<std::string>{"record"}));
  record.Turned(now);
  EXPECT_TRUE(pulse.StuckSince(now).empty());
}

TEST(Pulse, AThreadThatHasJustBegunIsNotStuck) {
  Pulse pulse;
  const SteadyTime before = Steady::now();
  pulse.Add("claim");
  EXPECT_TRUE(pulse.StuckSince(before).empty());
}

}  // namespace
}  // namespace postcall
