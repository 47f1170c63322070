#include "common/progress.h"

#include <gtest/gtest.h>

namespace postcall {
namespace {

TEST(Progress, NamesTheThreadsThatMakeNone) {
  Progress progress;
  Progress::Thread& claim = progress.Add("claim");
  Progress::Thread& record = progress.Add("record");
  const SteadyTime now = Steady::now() + std::chrono::minutes(1);
  claim.Note(now);
  EXPECT_EQ(progress.StuckSince(now), (std::vector<std::string>{"record"}));
  record.Note(now);
  EXPECT_TRUE(progress.StuckSince(now).empty());
}

TEST(Progress, IsNotExpectedOfAThreadThatHasJustBegun) {
  Progress progress;
  const SteadyTime before = Steady::now();
  progress.Add("claim");
  EXPECT_TRUE(progress.StuckSince(before).empty());
}

}  // namespace
}  // namespace postcall
