#include "dispatcher/dispatch/claim_pace.h"

#include <gtest/gtest.h>

namespace postcall::dispatch {
namespace {

using namespace std::chrono_literals;

const SteadyTime kStart = SteadyTime() + 1h;

class ClaimPacing : public ::testing::Test {
 protected:
  static Admission::Room Room(int slots) { return {.slots = slots, .body_bytes = 1 << 30, .exceptions = {}}; }

  store::ClaimLimits Next(int slots = 2000) { return pace_.Next(Room(slots), false, kStart).value(); }

  // A claim that sends `sent` of the `rows` that it picked.
  static ClaimMade Made(int rows, int sent, bool more = false) {
    ClaimMade made;
    made.walk = {.rows = rows, .last_agent = AgentId("last"), .more = more, .progress = {}, .unread = {}};
    made.to_send = sent;
    made.took = 10ms;
    return made;
  }

  // Claims once with room for all, and takes all that it picks.
  void ClaimAll(int rows) {
    Next();
    pace_.Note(Made(rows, rows), kStart);
  }

  static store::Unreadable TookLong(const char* agent) {
    store::Unreadable unreadable{.row = {}, .timed_out = true, .error = ""};
    unreadable.row.agent_id = AgentId(agent);
    return unreadable;
  }

  ClaimPace pace_;
};

TEST_F(ClaimPacing, NeverAsksForMoreRowsThanThereAreSlots) {
  EXPECT_EQ(Next(7).max_rows, 7);
  EXPECT_EQ(Next(2000).max_rows, ClaimPace::kFirstRows);
}

TEST_F(ClaimPacing, AsksForNothingWhileNoSlotIsFree) {
  EXPECT_FALSE(pace_.Next(Room(0), false, kStart));
  EXPECT_EQ(pace_.NextPause(), ClaimPace::kPauseWhileFull);
}

TEST_F(ClaimPacing, NeverReadsMoreBytesThanCrossTheNetworkInTime) {
  Admission::Room room = Room(10);
  EXPECT_EQ(pace_.Next(room, false, kStart)->max_bytes, ClaimPace::kMaxBytes);
  room.body_bytes = 1000;
  EXPECT_EQ(pace_.Next(room, false, kStart)->max_bytes, 1000);
}

TEST_F(ClaimPacing, AsksForMoreEachTimeThatAllRowsFindASlot) {
  ClaimAll(200);
  EXPECT_EQ(Next().max_rows, 250);
  for (int i = 0; i < 10; ++i) ClaimAll(250);
  EXPECT_EQ(Next().max_rows, ClaimPace::kMaxRows);
}

TEST_F(ClaimPacing, AsksForAsManyAsFoundASlotWhenSomeDidNot) {
  Next();
  pace_.Note(Made(200, 60), kStart);
  EXPECT_EQ(pace_.NextPause(), ClaimPace::kPauseWhileFull);
  EXPECT_EQ(Next().max_rows, 60);
  pace_.Note(Made(60, 1), kStart);
  EXPECT_EQ(Next().max_rows, ClaimPace::kFewRows);
}

TEST_F(ClaimPacing, StepsInLongerStridesOverAgentsThatItSeesForTheFirstTime) {
  Next();
  ClaimMade made = Made(200, 10);
  made.new_agents = 190;
  pace_.Note(made, kStart);
  EXPECT_EQ(pace_.NextPause(), 0ms);
  EXPECT_EQ(Next().max_rows, 400);
}

TEST_F(ClaimPacing, TakesFewerRowsPerAgentWhenTheClaimIsFullAndMoreWhenItIsNot) {
  EXPECT_EQ(pace_.rows_per_agent(), 1);
  Next();
  pace_.Note(Made(50, 50, /*more=*/true), kStart);
  EXPECT_EQ(pace_.rows_per_agent(), 2);
  Next();
  pace_.Note(Made(50, 50, /*more=*/true), kStart);
  EXPECT_EQ(pace_.rows_per_agent(), 4);
  const int all = Next().max_rows;
  pace_.Note(Made(all, all, /*more=*/true), kStart);
  EXPECT_EQ(pace_.rows_per_agent(), 2);
}

TEST_F(ClaimPacing, StartsAfterTheLastAgent) {
  ClaimAll(3);
  Next();
  EXPECT_EQ(pace_.last_agent(), AgentId("last"));
}

TEST_F(ClaimPacing, FollowsAtOnceWhileThereIsMore) {
  Next();
  pace_.Note(Made(50, 50, /*more=*/true), kStart);
  EXPECT_EQ(pace_.NextPause(), 0ms);
  ClaimAll(50);
  EXPECT_EQ(pace_.NextPause(), ClaimPace::kShortestPause);
}

TEST_F(ClaimPacing, WaitsLongerEachTimeThatThereIsNothing) {
  Steady::duration before{};
  for (int i = 0; i < 10; ++i) {
    Next();
    pace_.Note(store::Nothing{});
    const Steady::duration pause = pace_.NextPause();
    EXPECT_GE(pause, before);
    before = pause;
  }
  EXPECT_EQ(before, ClaimPace::kLongestPause);
  ClaimAll(1);
  EXPECT_EQ(pace_.NextPause(), ClaimPace::kShortestPause);
}

TEST_F(ClaimPacing, WaitsForSlotsWhenOnlyAgentsWithoutAnyHaveCalls) {
  Admission::Room room = Room(10);
  room.exceptions.emplace_back(AgentId("full"), 0);
  ASSERT_TRUE(pace_.Next(room, false, kStart));
  pace_.Note(store::Nothing{});
  EXPECT_EQ(pace_.NextPause(), ClaimPace::kPauseWhileFull);
}

TEST_F(ClaimPacing, WaitsUntilHalfOfTheSlotsAreFreeAndCountsThoseThatBecameFreeMeanwhile) {
  Admission::Room room = Room(0);
  room.freed = 1000;
  EXPECT_FALSE(pace_.Next(room, false, kStart));
  EXPECT_EQ(pace_.WakeAt(/*in_flight=*/60), 1030);
  EXPECT_EQ(pace_.WakeAt(/*in_flight=*/0), 1001);
  ClaimAll(10);
  EXPECT_EQ(pace_.WakeAt(60), std::nullopt) << "it is not full";
}

TEST_F(ClaimPacing, ForgetsThatItWasFullWhenNoClaimIsTried) {
  EXPECT_FALSE(pace_.Next(Room(0), false, kStart));
  pace_.Skip();
  EXPECT_EQ(pace_.WakeAt(10), std::nullopt);
  EXPECT_EQ(pace_.NextPause(), ClaimPace::kShortestPause);
}

TEST_F(ClaimPacing, SendsOneCallPerSecondWhileTheNetworkIsDown) {
  const auto probe = [&](SteadyTime now) { return pace_.Next(Room(10), true, now); };
  ASSERT_TRUE(probe(kStart));
  EXPECT_EQ(probe(kStart)->max_rows, 1);
  pace_.Note(Made(1, 1), kStart);
  EXPECT_FALSE(probe(kStart + 999ms));
  ASSERT_TRUE(probe(kStart + 1s));
  pace_.Note(store::Nothing{});
  EXPECT_TRUE(probe(kStart + 1s)) << "nothing was sent";
}

TEST_F(ClaimPacing, ReadsFewerAtOnceWhenSomeCannotBeRead) {
  Next();
  pace_.Note(store::TooMany{.rows = 200, .rows_next = 100});
  EXPECT_EQ(pace_.NextPause(), 0ms);
  EXPECT_EQ(Next().max_rows, 100);
  pace_.Note(Made(100, 100), kStart);
  EXPECT_EQ(Next().max_rows, 125);
}

TEST_F(ClaimPacing, ReadsOneByOneUntilTheSlowRowIsFound) {
  Next();
  pace_.Note(store::TooMany{.rows = 3, .rows_next = 1});
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(Next().max_rows, 1) << i;
    pace_.Note(Made(1, 1), kStart);
  }
  ASSERT_EQ(Next().max_rows, 1);
  EXPECT_TRUE(pace_.Note(TookLong("slow")));
  Next();
  EXPECT_EQ(pace_.last_agent(), AgentId("slow"));
  pace_.Note(Made(1, 1), kStart);
  EXPECT_EQ(Next().max_rows, 2);
}

TEST_F(ClaimPacing, BlamesTheDatabaseWhenTwoRowsInARowTakeLong) {
  Next();
  EXPECT_TRUE(pace_.Note(TookLong("a")));
  EXPECT_FALSE(pace_.Note(TookLong("b")));
  EXPECT_EQ(Next().read_limit, 2 * store::kReadAtOnce);
  for (int i = 0; i < 10; ++i) pace_.Note(TookLong("c"));
  EXPECT_EQ(Next().read_limit, ClaimPace::kLongestRead);
  ClaimMade slow = Made(1, 1);
  slow.took = store::kReadAtOnce;
  pace_.Note(slow, kStart);
  EXPECT_EQ(Next().read_limit, ClaimPace::kLongestRead);
  pace_.Note(Made(1, 1), kStart);
  EXPECT_EQ(Next().read_limit, store::kReadAtOnce);
  EXPECT_TRUE(pace_.Note(TookLong("d"))) << "calls were read in between";
}

TEST_F(ClaimPacing, BlamesTheAgentOfARowThatRaisesAnError) {
  store::Unreadable raises = TookLong("a");
  raises.timed_out = false;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pace_.Note(raises));
  EXPECT_EQ(Next().read_limit, store::kReadAtOnce);
  Next();
  EXPECT_EQ(pace_.last_agent(), AgentId()) << "its other rows come with the next claim, without the agent";
}

TEST_F(ClaimPacing, PausesLongAfterAnErrorAndLessThereafter) {
  EXPECT_EQ(pace_.PauseAfterError(), ClaimPace::kPauseAfterError);
  pace_.Skip();
  EXPECT_EQ(pace_.NextPause(), ClaimPace::kLongestPause);
}

}  // namespace
}  // namespace postcall::dispatch
