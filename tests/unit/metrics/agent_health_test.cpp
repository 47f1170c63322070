#include "dispatcher/metrics/agent_health.h"

#include <gtest/gtest.h>

#include <string>

namespace postcall::metrics {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class AgentHealthTest : public ::testing::Test {
 protected:
  void Expect(std::size_t active, std::size_t failing, Steady::duration after) {
    const AgentHealth::Counts counts = health_.Count(start_ + after);
    EXPECT_EQ(counts.active, active);
    EXPECT_EQ(counts.failing, failing);
  }

  const SteadyTime start_ = Steady::now();
  AgentHealth health_;
};

TEST_F(AgentHealthTest, IsNoneBeforeAnyDelivery) { Expect(0, 0, seconds(0)); }

TEST_F(AgentHealthTest, AgentFailsWhenNoneOfItsDeliveriesWasDelivered) {
  health_.Note(AgentId("broken"), false, start_);
  health_.Note(AgentId("broken"), false, start_ + seconds(1));
  health_.Note(AgentId("well"), true, start_);
  Expect(2, 1, seconds(1));
}

TEST_F(AgentHealthTest, AgentFailsAfterTenMinutesWithoutADeliveredOne) {
  health_.Note(AgentId("a"), true, start_);
  for (int minute = 1; minute <= 12; ++minute) health_.Note(AgentId("a"), false, start_ + minutes(minute));
  Expect(1, 1, minutes(12));
}

TEST_F(AgentHealthTest, AgentWithOneDeliveredTenMinutesAgoDoesNotFailYet) {
  health_.Note(AgentId("a"), true, start_);
  health_.Note(AgentId("a"), false, start_ + minutes(9));
  Expect(1, 0, minutes(10));
  Expect(1, 1, minutes(10) + seconds(1));
}

TEST_F(AgentHealthTest, QuietAgentIsNeitherActiveNorFailing) {
  health_.Note(AgentId("a"), false, start_);
  Expect(1, 1, minutes(10));
  Expect(0, 0, minutes(10) + seconds(1));
}

TEST_F(AgentHealthTest, ManyAgentsAreEachCountedOnce) {
  for (int i = 0; i < 10'000; ++i) health_.Note(AgentId(std::to_string(i % 1'000)), i % 2 == 0, start_);
  Expect(1'000, 500, seconds(0));
}

}  // namespace
}  // namespace postcall::metrics
