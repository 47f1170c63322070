#include "dispatcher/store/liveness.h"

#include <thread>

#include "dispatcher/store/confirm.h"
#include "tests/integration/store/store_test.h"
#include "tests/support/private_postgres.h"
#include "tests/support/tcp_proxy.h"

namespace postcall::store {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class Liveness : public StoreTest {
 protected:
  Liveness() { AddAgent("a"); }

  Made ClaimCalls(int count) {
    AddCalls("a", count, "c" + std::to_string(++batches_) + "-");
    return dispatcher_.ClaimAll(session_);
  }
  int Dispatchers() { return std::stoi(Value("SELECT count(*) FROM webhook_dispatchers")); }

  int batches_ = 0;
  Starter dispatcher_{"first"};
};

TEST_F(Liveness, HeartbeatRegistersOnceAndMovesFromThenOn) {
  EXPECT_TRUE(SendHeartbeat(session_, dispatcher_.id(), "label"));
  EXPECT_FALSE(SendHeartbeat(session_, dispatcher_.id(), "label"));
  EXPECT_EQ(Value("SELECT instance || ' ' || heartbeats FROM webhook_dispatchers"), "label 1");
  Unregister(session_, dispatcher_.id());
  EXPECT_EQ(Dispatchers(), 0);
  EXPECT_TRUE(SendHeartbeat(session_, dispatcher_.id(), "label"));
}

class Watching : public Liveness {
 protected:
  std::vector<DeadDispatcher> LookAfter(Steady::duration pause) {
    now_ += pause;
    return observer_.Look(watcher_);
  }

  // The commit of a claim arrives at the server when the proxy releases it.
  void ClaimWithoutCommit(test::TcpProxy& proxy) {
    postgres::Session proxied({.url = UrlThrough(proxy), .application_name = "proxied"});
    AddCalls("a", 1, "racing");
    proxy.FailNextCommit(test::CommitFault::kHold);
    Seen seen;
    ASSERT_TRUE(std::holds_alternative<InDoubt>(dispatcher_.Claim(proxied, Limits(1, 1), seen.SendAll())));
  }

  SteadyTime now_ = Steady::now();
  Starter other_{"second"};
  postgres::Session watcher_{{.url = url_, .application_name = "watcher"}};
  Observer observer_{other_.id(), [this] { return now_; }};
};

TEST_F(Watching, DeclaresADispatcherDeadThatHasNotMovedFor30Seconds) {
  const Made claimed = ClaimCalls(3);
  for (int look = 0; look < 6; ++look) EXPECT_THAT(LookAfter(seconds(5)), IsEmpty()) << look;
  EXPECT_EQ(Log("in_flight"), 3);
  const std::vector<DeadDispatcher> dead = LookAfter(seconds(5));
  ASSERT_THAT(dead, SizeIs(1));
  EXPECT_EQ(dead[0].dispatcher, dispatcher_.id());
  EXPECT_EQ(dead[0].instance, "first");
  ASSERT_THAT(dead[0].unknown, SizeIs(3));
  EXPECT_EQ(dead[0].unknown[0].cause, Cause::kCompletion);
  EXPECT_EQ(Log("unknown"), 3);
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_deliveries WHERE finished_at >= claimed_at AND error <> ''"),
            "3");
  EXPECT_EQ(Dispatchers(), 0);
  EXPECT_THAT(LookAfter(seconds(5)), IsEmpty());
  EXPECT_THAT(Record(session_, std::vector{Delivered(KeyOf(claimed))}).lost, IsEmpty()) << "late, and true";
}

TEST_F(Watching, ChangesNoRowsOfOthers) {
  ClaimCalls(2);
  Starter third("third");
  for (int look = 0; look < 6; ++look) LookAfter(seconds(5));
  AddCalls("a", 1, "third's");
  third.ClaimAll(session_);
  ASSERT_THAT(LookAfter(seconds(5)), SizeIs(1));
  EXPECT_EQ(Value("SELECT dispatcher FROM webhook_deliveries WHERE outcome = 'in_flight'"), "third");
}

TEST_F(Watching, NeverDeclaresItselfDead) {
  SendHeartbeat(session_, other_.id(), "second");
  for (int look = 0; look < 20; ++look) EXPECT_THAT(LookAfter(seconds(5)), IsEmpty());
}

TEST_F(Watching, StartsAgainWhenTheHeartbeatMoves) {
  ClaimCalls(1);
  for (int look = 0; look < 6; ++look) LookAfter(seconds(5));
  SendHeartbeat(session_, dispatcher_.id(), "first");
  for (int look = 0; look < 6; ++look) EXPECT_THAT(LookAfter(seconds(5)), IsEmpty()) << look;
  EXPECT_THAT(LookAfter(seconds(5)), SizeIs(1));
}

TEST_F(Watching, StartsAgainWhenItsOwnConnectionWasLost) {
  ClaimCalls(1);
  for (int look = 0; look < 6; ++look) LookAfter(seconds(5));
  Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'watcher'");
  for (int look = 0; look < 6; ++look) EXPECT_THAT(LookAfter(seconds(5)), IsEmpty()) << look;
  EXPECT_THAT(LookAfter(seconds(5)), SizeIs(1));
}

// The observer or its whole machine was stopped, so it cannot know what others did meanwhile.
TEST_F(Watching, StartsAgainWhenItDidNotLookForLong) {
  ClaimCalls(1);
  LookAfter(seconds(5));
  EXPECT_THAT(LookAfter(seconds(60)), IsEmpty());
  for (int look = 0; look < 5; ++look) EXPECT_THAT(LookAfter(seconds(5)), IsEmpty()) << look;
  EXPECT_THAT(LookAfter(seconds(5)), SizeIs(1));
}

TEST_F(Watching, ForgetsADispatcherThatStopped) {
  ClaimCalls(1);
  LookAfter(seconds(5));
  Unregister(session_, dispatcher_.id());
  for (int look = 0; look < 10; ++look) EXPECT_THAT(LookAfter(seconds(5)), IsEmpty());
}

// The claim has moved the heartbeat and not yet committed.
TEST_F(Watching, LetsAClaimThatIsBeingCommittedLive) {
  ClaimCalls(1);
  for (int look = 0; look < 6; ++look) LookAfter(seconds(5));
  test::TcpProxy proxy(test::SharedPostgres().port());
  ClaimWithoutCommit(proxy);
  EXPECT_THAT(LookAfter(seconds(5)), IsEmpty());
  proxy.ReleaseHeld();
  ASSERT_TRUE(WaitForValue("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'in_flight'", "2"));
  for (int look = 0; look < 6; ++look) EXPECT_THAT(LookAfter(seconds(5)), IsEmpty()) << "it moved";
  EXPECT_EQ(Log("in_flight"), 2);
}

// The claim does not move the heartbeat, which is fresh by the dispatcher's own clock.
TEST_F(Watching, LetsADispatcherLiveWhileItCommits) {
  ClaimCalls(1);
  for (int look = 0; look < 6; ++look) LookAfter(seconds(5));
  dispatcher_.NoteHeartbeat();
  test::TcpProxy proxy(test::SharedPostgres().port());
  ClaimWithoutCommit(proxy);
  EXPECT_THAT(LookAfter(seconds(5)), IsEmpty());
  SendHeartbeat(session_, dispatcher_.id(), "first");
  proxy.ReleaseHeld();
  ASSERT_TRUE(WaitForValue("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'in_flight'", "2"));
  EXPECT_THAT(LookAfter(seconds(5)), IsEmpty());
}

// The declaration has deleted the dispatcher's row and has not yet committed.
TEST_F(Watching, DoesNotReachWhatIsClaimedAfterTheDeclaration) {
  ClaimCalls(2);
  pqxx::connection declaring(url_);
  pqxx::work declaration(declaring);
  declaration.exec("DELETE FROM webhook_dispatchers");
  declaration.exec(
      "UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now() WHERE outcome = 'in_flight'");
  AddCalls("a", 1, "racing");
  std::thread claimer([this] { EXPECT_THAT(dispatcher_.ClaimAll(session_).to_send, SizeIs(1)); });
  EXPECT_TRUE(
      WaitForValue("SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                   "AND application_name = 'store_test'",
                   "t"));
  declaration.commit();
  claimer.join();
  EXPECT_EQ(Log("unknown"), 2);
  EXPECT_EQ(Log("in_flight"), 1);
  EXPECT_EQ(Dispatchers(), 1) << "it has registered again";
}

// After it has registered again, its heartbeat counts from 0. This must not look like an old number that
// never moved.
TEST_F(Watching, TellsANewRegistrationFromAnOldHeartbeat) {
  SendHeartbeat(session_, dispatcher_.id(), "first");
  for (int look = 0; look < 6; ++look) LookAfter(seconds(5));
  Unregister(session_, dispatcher_.id());
  SendHeartbeat(session_, dispatcher_.id(), "first");
  EXPECT_THAT(LookAfter(seconds(5)), IsEmpty());
}

class Sweeping : public Liveness {};

TEST_F(Sweeping, EndsOldRowsWhoseDispatcherIsNotOnTheList) {
  ClaimCalls(2);
  Starter living("living");
  AddCalls("a", 1, "living");
  living.ClaimAll(session_);
  Unregister(session_, dispatcher_.id());
  EXPECT_THAT(SweepOrphans(session_), IsEmpty()) << "too young";
  MakeLogOlder("46 seconds");
  Query(
      "UPDATE webhook_deliveries SET cause = 'resend' WHERE id = (SELECT id FROM webhook_deliveries"
      " ORDER BY id DESC OFFSET 1 LIMIT 1)");
  EXPECT_THAT(SweepOrphans(session_),
              ::testing::UnorderedElementsAre(::testing::Field(&Swept::cause, Cause::kCompletion),
                                              ::testing::Field(&Swept::cause, Cause::kResend)));
  EXPECT_EQ(Log("unknown"), 2);
  EXPECT_THAT(SweepOrphans(session_), IsEmpty());
}

TEST_F(Sweeping, EndsOwnOldRowsThatAreNotHeld) {
  const Made claimed = ClaimCalls(3);
  Starter other("other");
  AddCalls("a", 1, "other");
  other.ClaimAll(session_);
  EXPECT_THAT(SweepOwn(session_, dispatcher_.id(), {}), IsEmpty()) << "too young";
  MakeLogOlder("46 seconds");
  const std::vector<DeliveryId> held{claimed.to_send[1]};
  EXPECT_THAT(SweepOwn(session_, dispatcher_.id(), held),
              ::testing::UnorderedElementsAre(::testing::Field(&Swept::id, claimed.to_send[0]),
                                              ::testing::Field(&Swept::id, claimed.to_send[2])));
  EXPECT_EQ(Log("unknown"), 2);
  EXPECT_EQ(Log("in_flight"), 2);
}

class Forgetting : public Liveness {
 protected:
  void EndAll() { Query("UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now()"); }
  std::string Claims() { return Value("SELECT count(*) FROM webhook_claims"); }
};

TEST_F(Forgetting, ItsOwnClaimOnceAllOfItsRowsAreOver) {
  const Made claimed = ClaimCalls(2);
  MakeLogOlder("12 seconds");
  Query("UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now() WHERE id = " +
        std::to_string(claimed.to_send[0].get()));
  EXPECT_EQ(ForgetClaims(session_, dispatcher_.id()), 0) << "the other row is in flight";
  EndAll();
  ClaimCalls(1);
  EndAll();
  EXPECT_EQ(Claims(), "2");
  EXPECT_EQ(ForgetClaims(session_, dispatcher_.id()), 1) << "one is too young to be looked at";
  EXPECT_EQ(Claims(), "1");
}

TEST_F(Forgetting, TheClaimOfAnotherOnlyWhenThatDispatcherHasLeftItForAMinute) {
  ClaimCalls(1);
  EndAll();
  MakeLogOlder("50 seconds");
  const Starter other("other");
  EXPECT_EQ(ForgetClaims(session_, other.id()), 0);
  MakeLogOlder("15 seconds");
  EXPECT_EQ(ForgetClaims(session_, other.id()), 1);
}

// For example, a person at psql has left a transaction open.
class SweepingBesideALock : public Watching {
 protected:
  SweepingBesideALock() : other_(url_), holder_(other_), claimed_(ClaimCalls(4)) {
    MakeLogOlder("46 seconds");
    holder_.exec("SELECT FROM webhook_deliveries WHERE id = " + std::to_string(claimed_.to_send[1].get()) +
                 " FOR UPDATE");
  }

  pqxx::connection other_;
  pqxx::work holder_;
  const Made claimed_;
};

TEST_F(SweepingBesideALock, EndsTheOtherRowsOfADeadDispatcherAndTheLockedOneOnceItIsFree) {
  for (int look = 0; look < 6; ++look) LookAfter(seconds(5));
  const std::vector<DeadDispatcher> dead = LookAfter(seconds(5));
  ASSERT_THAT(dead, SizeIs(1));
  EXPECT_THAT(dead[0].unknown, SizeIs(3));
  EXPECT_THAT(SweepOrphans(session_), IsEmpty());
  holder_.abort();
  EXPECT_THAT(SweepOrphans(session_), ElementsAre(::testing::Field(&Swept::id, claimed_.to_send[1])));
}

TEST_F(SweepingBesideALock, EndsTheOtherOrphans) {
  Unregister(session_, dispatcher_.id());
  EXPECT_THAT(SweepOrphans(session_), SizeIs(3));
}

TEST_F(SweepingBesideALock, EndsItsOwnOtherRows) {
  const std::vector<DeliveryId> held{claimed_.to_send[3]};
  EXPECT_THAT(SweepOwn(session_, dispatcher_.id(), held), SizeIs(2));
}

class Confirming : public Liveness {};

TEST_F(Confirming, TellsWhichRowsAreStillOurs) {
  const Made first = ClaimCalls(3);
  const Made second = ClaimCalls(1);
  std::vector<DeliveryKey> keys = KeysOf(second);
  for (const DeliveryKey& key : KeysOf(first)) keys.push_back(key);
  keys.push_back(KeyOf(first));
  keys.back().claim_id = dispatcher_.NextClaimer().claim_id;
  Query("UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now() WHERE id = " +
        std::to_string(first.to_send[1].get()));
  const SteadyTime before = Steady::now();
  const Confirmed confirmed = Confirm(session_, dispatcher_.id(), keys);
  EXPECT_THAT(confirmed.still_ours,
              UnorderedElementsAre(second.to_send[0], first.to_send[0], first.to_send[2]));
  EXPECT_GE(confirmed.owned_since, before);
  EXPECT_LE(confirmed.owned_since, Steady::now());
  EXPECT_EQ(Value("SELECT heartbeats FROM webhook_dispatchers"), "2");
}

TEST_F(Confirming, ConfirmsNothingOfADispatcherThatWasDeclaredDead) {
  const Made claimed = ClaimCalls(1);
  Unregister(session_, dispatcher_.id());
  EXPECT_THAT(Confirm(session_, dispatcher_.id(), KeysOf(claimed)).still_ours, IsEmpty());
  EXPECT_EQ(Dispatchers(), 0);
}

}  // namespace
}  // namespace postcall::store
