#include "dispatcher/dispatch/slow_readers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postcall::dispatch {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SlowReading : public ::testing::Test {
 protected:
  bool IsSlow(const AgentId& agent) {
    const std::vector<AgentId> agents = readers_.After(AgentId(), now_);
    return std::ranges::find(agents, agent) != agents.end();
  }
  int ReadsUntilItLeaves(const AgentId& agent) {
    int reads = 0;
    for (; IsSlow(agent) && reads <= SlowReaders::kMostReadsToLeave; ++reads) readers_.NoteRead(agent);
    return reads;
  }

  const SteadyTime now_ = Steady::now();
  const AgentId a_{"a"}, b_{"b"}, c_{"c"};
  SlowReaders readers_;
};

TEST_F(SlowReading, BeginsWithTheAgentAfterTheLast) {
  for (const AgentId& agent : {a_, b_, c_}) readers_.NoteTrouble(agent, true, now_);
  EXPECT_THAT(readers_.After(AgentId(), now_), ElementsAre(a_, b_, c_));
  EXPECT_THAT(readers_.After(a_, now_), ElementsAre(b_, c_, a_));
  EXPECT_THAT(readers_.After(c_, now_), ElementsAre(a_, b_, c_));
}

TEST_F(SlowReading, EndsAfterSomeCallsInARow) {
  readers_.NoteTrouble(a_, true, now_);
  readers_.NoteRead(a_);
  readers_.NoteRead(a_);
  readers_.NoteTrouble(a_, true, now_);
  EXPECT_EQ(ReadsUntilItLeaves(a_), SlowReaders::kReadsToLeave);
}

TEST_F(SlowReading, TakesLongerToEndEachTimeThatItReturns) {
  readers_.NoteTrouble(a_, true, now_);
  ReadsUntilItLeaves(a_);
  readers_.NoteTrouble(a_, true, now_);
  EXPECT_EQ(ReadsUntilItLeaves(a_), SlowReaders::kReadsToLeave * SlowReaders::kMoreAtEachReturn);
}

TEST_F(SlowReading, EndsHoweverOftenTheAgentHasReturned) {
  for (int i = 0; i < 20; ++i) {
    readers_.NoteTrouble(a_, false, now_);
    ReadsUntilItLeaves(a_);
  }
  readers_.NoteTrouble(a_, true, now_);
  EXPECT_EQ(ReadsUntilItLeaves(a_), SlowReaders::kMostReadsToLeave);
}

TEST_F(SlowReading, IsForgottenWithoutTrouble) {
  readers_.NoteTrouble(a_, true, now_ - SlowReaders::kForgetAfter);
  EXPECT_THAT(readers_.After(AgentId(), now_), IsEmpty());
  readers_.NoteTrouble(a_, true, now_);
  EXPECT_EQ(ReadsUntilItLeaves(a_), SlowReaders::kReadsToLeave) << "as if it were the first time";
}

// All agents may seem to be slow when the database is busy for a moment.
TEST_F(SlowReading, EndsAtOnceForThoseThatOnlySeemedSlow) {
  readers_.NoteTrouble(a_, true, now_);
  readers_.NoteTrouble(b_, false, now_);
  readers_.NoteTrouble(c_, false, now_);
  EXPECT_THAT(readers_.After(AgentId(), now_), ElementsAre(b_, c_, a_)) << "and these come first";
  EXPECT_EQ(ReadsUntilItLeaves(b_), 1);
}

}  // namespace
}  // namespace postcall::dispatch
