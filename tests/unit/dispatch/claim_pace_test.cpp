#include "dispatcher/dispatch/claim_pace.h"

#include <gtest/gtest.h>

namespace postcall::dispatch {
namespace {

using namespace std::chrono_literals;

const SteadyTime kStart = SteadyTime() + 1h;

using Ended = ClaimPace::Ended;

class ClaimPacing : public ::testing::Test {
 protected:
  static Admission::Room Room(int slots) { return {.slots = slots, .body_bytes = 1 << 30}; }

  store::ClaimLimits Next(int slots = 2000) { return pace_.Next(Room(slots), false, kStart).value(); }

  // A claim that sends `sent` of the `rows` that it picked.
  static ClaimMade Made(int rows, int sent, bool more = false) {
    ClaimMade made;
    made.walk = {.rows = rows, .last_agent = AgentId("last"), .more = more, .left = {}, .unread = {}};
    made.to_send = sent;
    made.took = 10ms;
    return made;
  }

  // What a claim that picked `rows` asked for: more than that.
  static ClaimPace::Asked For(int rows) { return {.max_rows = rows + 1}; }

  // Claims once with room for all, and takes all that it picks.
  Ended ClaimAll(int rows, SteadyTime now = kStart) { return pace_.Note(Made(rows, rows), For(rows), now); }

  static store::Unreadable TookLong(const char* agent) {
    store::Unreadable unreadable{.row = {}, .timed_out = true, .error = ""};
    unreadable.row.agent_id = AgentId(agent);
    return unreadable;
  }

  ClaimPace pace_;
};

TEST_F(ClaimPacing, NeverAsksForMoreRowsThanThereAreSlots) {
  EXPECT_EQ(Next(7).max_rows, 7);
  EXPECT_EQ(Next(2000).max_rows, ClaimPace::kMaxRows);
}

TEST_F(ClaimPacing, AsksForNothingWhileNoSlotIsFree) { EXPECT_FALSE(pace_.Next(Room(0), false, kStart)); }

TEST_F(ClaimPacing, NeverReadsMoreBytesThanCrossTheNetworkInTime) {
  Admission::Room room = Room(10);
  EXPECT_EQ(pace_.Next(room, false, kStart)->max_bytes, ClaimPace::kMaxBytes);
  room.body_bytes = 1000;
  EXPECT_EQ(pace_.Next(room, false, kStart)->max_bytes, 1000);
}

TEST_F(ClaimPacing, GoesOnAtOnceAfterRowsWhoseEndpointWasNotKnown) {
  EXPECT_EQ(pace_.Note(Made(200, 10), For(200), kStart), Ended::kCutShort);
  EXPECT_EQ(pace_.Note(Made(200, 0), For(200), kStart), Ended::kFull) << "none of them found a slot";
  ClaimPace::Asked asked = For(200);
  asked.little_memory = true;
  EXPECT_EQ(pace_.Note(Made(200, 10, /*more=*/true), asked, kStart), Ended::kFull) << "bodies found no room";
}

TEST_F(ClaimPacing, TakesFewerRowsPerAgentWhenTheClaimIsFullAndMoreWhenItIsNot) {
  EXPECT_EQ(pace_.rows_per_agent(), 1);
  pace_.Note(Made(50, 50, /*more=*/true), For(500), kStart);
  EXPECT_EQ(pace_.rows_per_agent(), 2);
  pace_.Note(Made(50, 50, /*more=*/true), For(500), kStart);
  EXPECT_EQ(pace_.rows_per_agent(), 4);
  pace_.Note(Made(500, 500, /*more=*/true), {.max_rows = 500}, kStart);
  EXPECT_EQ(pace_.rows_per_agent(), 2);
}

TEST_F(ClaimPacing, StartsAfterTheLastAgentUnlessRowsWereLeft) {
  pace_.SkipTo(AgentId("picked"));
  ClaimAll(3);
  EXPECT_EQ(pace_.last_agent(), AgentId("picked"));
  pace_.Note(Made(3, 2), For(3), kStart);
  EXPECT_EQ(pace_.last_agent(), AgentId("last"));
}

TEST_F(ClaimPacing, FollowsAtOnceWhileThereIsMore) {
  EXPECT_EQ(pace_.Note(Made(50, 50, /*more=*/true), For(50), kStart), Ended::kCutShort);
  EXPECT_EQ(pace_.Note(Made(50, 50), {.max_rows = 51, .left_out = true}, kStart), Ended::kCutShort);
  EXPECT_EQ(pace_.Note(store::Nothing{}, {.max_rows = 51, .left_out = true}), Ended::kCutShort);
  EXPECT_EQ(pace_.PauseAfter(Ended::kCutShort, kStart + 1h), 0ms);
  EXPECT_EQ(ClaimAll(50), Ended::kTook);
}

TEST_F(ClaimPacing, WaitsForAPartOfTheTimeSinceSomethingWasClaimed) {
  ClaimAll(1);
  EXPECT_EQ(pace_.PauseAfter(Ended::kTook, kStart), ClaimPace::kShortestPause);
  EXPECT_EQ(pace_.Note(store::Nothing{}, For(1)), Ended::kEmpty);
  EXPECT_EQ(pace_.PauseAfter(Ended::kEmpty, kStart + ClaimPace::kPartOfTime * 10ms), 10ms);
  EXPECT_EQ(pace_.PauseAfter(Ended::kEmpty, kStart + 1h), ClaimPace::kLongestPause);
  ClaimAll(1, kStart + 1h);
  EXPECT_EQ(pace_.PauseAfter(Ended::kTook, kStart + 1h), ClaimPace::kShortestPause);
}

TEST_F(ClaimPacing, WaitsForSlotsWhenOnlyAgentsWithoutAnyHaveCalls) {
  EXPECT_EQ(pace_.Note(store::Nothing{}, {.max_rows = 10, .some_wait = true}), Ended::kFull);
  EXPECT_EQ(pace_.PauseAfter(Ended::kFull, kStart + 1h), ClaimPace::kPauseWhileFull);
}

TEST_F(ClaimPacing, WaitsForMoreSlotsButNotForLong) {
  EXPECT_TRUE(pace_.IsTime(/*is_worthwhile=*/false, kStart)) << "the last claim was long ago";
  pace_.NoteAsked(kStart);
  EXPECT_FALSE(pace_.IsTime(false, kStart + ClaimPace::kPauseWhileFull - 1ms));
  EXPECT_TRUE(pace_.IsTime(true, kStart));
  EXPECT_TRUE(pace_.IsTime(false, kStart + ClaimPace::kPauseWhileFull));
}

TEST_F(ClaimPacing, SendsOneCallPerSecondWhileTheNetworkIsDown) {
  const auto probe = [&](SteadyTime now) { return pace_.Next(Room(10), true, now); };
  const ClaimPace::Asked asked{.max_rows = 1, .probes = true};
  ASSERT_TRUE(probe(kStart));
  EXPECT_EQ(probe(kStart)->max_rows, 1);
  pace_.Note(Made(1, 1), asked, kStart);
  EXPECT_FALSE(probe(kStart + 999ms));
  ASSERT_TRUE(probe(kStart + 1s));
  pace_.Note(store::Nothing{}, asked);
  EXPECT_TRUE(probe(kStart + 1s)) << "nothing was sent";
}

TEST_F(ClaimPacing, ReadsFewerAtOnceWhenSomeCannotBeRead) {
  EXPECT_TRUE(pace_.reads_all());
  EXPECT_EQ(pace_.Note(store::TooMany{.rows = 200, .rows_next = 100}), Ended::kCutShort);
  EXPECT_FALSE(pace_.reads_all());
  EXPECT_EQ(Next().max_rows, 100);
  pace_.Note(Made(100, 100), For(100), kStart);
  EXPECT_EQ(Next().max_rows, 125);
}

TEST_F(ClaimPacing, ReadsOneByOneUntilTheSlowRowIsFound) {
  pace_.Note(store::TooMany{.rows = 3, .rows_next = 1});
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(Next().max_rows, 1) << i;
    pace_.Note(Made(1, 1), For(1), kStart);
  }
  ASSERT_EQ(Next().max_rows, 1);
  EXPECT_TRUE(pace_.Note(TookLong("slow")).is_of_its_agent);
  EXPECT_EQ(pace_.last_agent(), AgentId("slow"));
  pace_.Note(Made(1, 1), For(1), kStart);
  EXPECT_EQ(Next().max_rows, 2);
}

TEST_F(ClaimPacing, BlamesTheDatabaseWhenTwoRowsInARowTakeLong) {
  EXPECT_TRUE(pace_.Note(TookLong("a")).is_of_its_agent);
  EXPECT_FALSE(pace_.Note(TookLong("b")).is_of_its_agent);
  EXPECT_EQ(Next().read_limit, 2 * store::kReadAtOnce);
  for (int i = 0; i < 10; ++i) pace_.Note(TookLong("c"));
  EXPECT_EQ(Next().read_limit, ClaimPace::kLongestRead);
  ClaimMade slow = Made(1, 1);
  slow.took = store::kReadAtOnce;
  pace_.Note(slow, For(1), kStart);
  EXPECT_EQ(Next().read_limit, ClaimPace::kLongestRead);
  pace_.Note(Made(1, 1), For(1), kStart);
  EXPECT_EQ(Next().read_limit, store::kReadAtOnce);
  EXPECT_TRUE(pace_.Note(TookLong("d")).is_of_its_agent) << "calls were read in between";
}

TEST_F(ClaimPacing, BlamesTheAgentOfARowThatRaisesAnError) {
  store::Unreadable raises = TookLong("a");
  raises.timed_out = false;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(pace_.Note(raises).is_of_its_agent);
  EXPECT_EQ(Next().read_limit, store::kReadAtOnce);
  EXPECT_EQ(pace_.last_agent(), AgentId()) << "its other rows come with the next claim, without the agent";
}

}  // namespace
}  // namespace postcall::dispatch
