// Claims and records whose commit loses its answer, behind a proxy that cuts the connection at that moment.
#include <functional>
#include <thread>

#include "dispatcher/store/liveness.h"
#include "dispatcher/store/resolve.h"
#include "tests/integration/store/store_test.h"
#include "tests/support/private_postgres.h"
#include "tests/support/tcp_proxy.h"

namespace postcall::store {
namespace {

using test::CommitFault;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

class ClaimInDoubt : public StoreTest {
 protected:
  ClaimInDoubt() {
    AddAgent("a");
    AddCalls("a", 5, "a");
  }

  InDoubt ClaimWith(CommitFault fault) {
    proxy_.FailNextCommit(fault);
    return std::get<InDoubt>(dispatcher_.Claim(proxied_, Limits(10, 10), seen_.SendAll()));
  }

  Resolved Resolve(const InDoubt& doubt) { return ResolveClaim(proxied_, doubt); }

  // The server process takes a moment to notice that its client has disconnected.
  Resolved ResolveFinally(const InDoubt& doubt) {
    const SteadyTime deadline = Steady::now() + std::chrono::seconds(20);
    while (true) {
      Resolved resolved = Resolve(doubt);
      if (resolved.fate != Fate::kPending || Steady::now() > deadline) return resolved;
      std::this_thread::yield();
    }
  }

  test::TcpProxy proxy_{test::SharedPostgres().port()};
  postgres::Session proxied_{{.url = UrlThrough(proxy_), .application_name = "proxied"}};
  Starter dispatcher_;
  Seen seen_;
};

TEST_F(ClaimInDoubt, IsFoundWhenItCommitted) {
  const InDoubt doubt = ClaimWith(CommitFault::kCutBeforeAnswer);
  EXPECT_FALSE(proxied_.connected());
  const SteadyTime before = Steady::now();
  const Resolved resolved = ResolveFinally(doubt);
  EXPECT_EQ(resolved.fate, Fate::kCommitted);
  EXPECT_THAT(resolved.in_flight, UnorderedElementsAreArray(seen_.ids));
  EXPECT_GE(resolved.owned_since, before);
  EXPECT_EQ(Outbox(), 0);
  EXPECT_EQ(Log("in_flight"), 5);
}

TEST_F(ClaimInDoubt, IsGivenUpWhenTheServerNeverSawTheCommit) {
  const InDoubt doubt = ClaimWith(CommitFault::kCutBeforeRequest);
  const Resolved resolved = ResolveFinally(doubt);
  EXPECT_EQ(resolved.fate, Fate::kAborted);
  EXPECT_THAT(resolved.in_flight, IsEmpty());
  EXPECT_EQ(Outbox(), 5);
  EXPECT_THAT(dispatcher_.ClaimAll(proxied_).to_send, SizeIs(5));
}

// "No row found" does not mean "rolled back" while the server process still runs.
TEST_F(ClaimInDoubt, StaysPendingUntilTheServerProcessHasDecided) {
  const InDoubt doubt = ClaimWith(CommitFault::kHold);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Resolve(doubt).fate, Fate::kPending);
  Starter other;
  EXPECT_THAT(other.ClaimAll(session_).to_send, IsEmpty()) << "the rows are still locked";
  proxy_.ReleaseHeld();
  const Resolved resolved = ResolveFinally(doubt);
  EXPECT_EQ(resolved.fate, Fate::kCommitted);
  EXPECT_THAT(resolved.in_flight, UnorderedElementsAreArray(seen_.ids));
}

TEST_F(ClaimInDoubt, IsGivenUpWhenTheServerProcessRollsBackInTheEnd) {
  const InDoubt doubt = ClaimWith(CommitFault::kHold);
  EXPECT_EQ(Resolve(doubt).fate, Fate::kPending);
  proxy_.DropHeld();
  EXPECT_EQ(ResolveFinally(doubt).fate, Fate::kAborted);
  EXPECT_EQ(Outbox(), 5);
}

TEST_F(ClaimInDoubt, GivesNothingToSendWhenTheDispatcherWasDeclaredDeadMeanwhile) {
  const InDoubt doubt = ClaimWith(CommitFault::kCutBeforeAnswer);
  ASSERT_EQ(ResolveFinally(doubt).fate, Fate::kCommitted);
  SteadyTime now = Steady::now();
  Observer observer(Starter().id(), [&] { return now; });
  for (int look = 0; look < 4; ++look, now += std::chrono::seconds(12)) observer.Look(session_);
  ASSERT_EQ(Log("unknown"), 5);
  const Resolved resolved = Resolve(doubt);
  EXPECT_EQ(resolved.fate, Fate::kCommitted);
  EXPECT_THAT(resolved.in_flight, IsEmpty());
}

TEST_F(ClaimInDoubt, TellsOnlyTheRowsThatAreStillInFlight) {
  const InDoubt doubt = ClaimWith(CommitFault::kCutBeforeAnswer);
  ASSERT_EQ(ResolveFinally(doubt).fate, Fate::kCommitted);
  Record(session_, std::vector{Delivered(KeyOf(doubt, seen_.ids[2]))});
  seen_.ids.erase(seen_.ids.begin() + 2);
  EXPECT_THAT(Resolve(doubt).in_flight, UnorderedElementsAreArray(seen_.ids));
}

TEST_F(ClaimInDoubt, CountsWhatItFinishedAsCommittedToo) {
  proxy_.FailNextCommit(CommitFault::kCutBeforeAnswer);
  const InDoubt doubt = std::get<InDoubt>(dispatcher_.Claim(proxied_, Limits(10, 10), [](const Candidate&) {
    return Finish{Outcome::kSkipped, "", "removed"};
  }));
  EXPECT_EQ(ResolveFinally(doubt).fate, Fate::kCommitted);
  EXPECT_EQ(Log("skipped"), 5);
}

// The server has replaced another one, which had assigned more ids than this one knows of.
TEST_F(ClaimInDoubt, IsGivenUpWhenTheServerNeverGaveOutItsTransaction) {
  InDoubt doubt = ClaimWith(CommitFault::kCutBeforeRequest);
  doubt.transaction_id = "123456789012";
  EXPECT_EQ(Resolve(doubt).fate, Fate::kAborted);
}

TEST_F(ClaimInDoubt, IsResolvedWhenTheConnectionDiesBehindTheAnswer) {
  proxy_.FailNextCommit(CommitFault::kCutAfterAnswer);
  const auto result = dispatcher_.Claim(proxied_, Limits(2, 2), seen_.SendAll());
  if (const auto* doubt =
          std::get_if<InDoubt>(&result)) {  // libpqxx 6 looks for notifications before it returns
    EXPECT_THAT(ResolveFinally(*doubt).in_flight, SizeIs(2));
  }
  EXPECT_THAT(dispatcher_.ClaimAll(proxied_).to_send, SizeIs(3));
  EXPECT_EQ(proxied_.connection_number(), 2u);
}

TEST_F(ClaimInDoubt, NeverArisesBeforeTheCommit) {
  const auto cut_off_in_the_middle = [&](const Candidate&) -> Verdict {
    Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'proxied'");
    return Send{""};
  };
  EXPECT_THROW(dispatcher_.Claim(proxied_, Limits(10, 10), cut_off_in_the_middle), postgres::Unavailable);
  EXPECT_FALSE(proxied_.connected());
  EXPECT_EQ(Outbox(), 5);
  EXPECT_THAT(dispatcher_.ClaimAll(proxied_).to_send, SizeIs(5));
}

TEST_F(ClaimInDoubt, LetsARecordBeRepeated) {
  const Made claimed = dispatcher_.ClaimAll(session_);
  const std::vector batch{Delivered(KeyOf(claimed, 0)), Delivered(KeyOf(claimed, 1))};
  proxy_.FailNextCommit(CommitFault::kCutBeforeAnswer);
  EXPECT_THROW(Record(proxied_, batch), postgres::Unavailable);
  const Recorded again = Record(proxied_, batch);
  EXPECT_THAT(again.lost, SizeIs(2)) << "recorded already";
  EXPECT_EQ(Log("delivered"), 2);

  proxy_.FailNextCommit(CommitFault::kCutBeforeRequest);
  const std::vector others{Delivered(KeyOf(claimed, 2))};
  EXPECT_THROW(Record(proxied_, others), postgres::Unavailable);
  // The cut process may hold the row's lock for another moment.
  EXPECT_THAT(Record(proxied_, others).lost, IsEmpty());
  EXPECT_EQ(Log("delivered"), 3);
}

}  // namespace
}  // namespace postcall::store
