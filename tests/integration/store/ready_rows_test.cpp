// The feed and the walk find every row that is ready, however late its transaction commits.
#include "dispatcher/store/ready_rows.h"

#include <set>

#include "dispatcher/postgres/database_value.h"
#include "dispatcher/store/requeue.h"
#include "dispatcher/store/upkeep.h"
#include "tests/integration/store/store_test.h"

namespace postcall::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using namespace std::chrono_literals;

constexpr std::int64_t kMillisecond = FeedStart::kSecond / 1000;

TEST(FeedStartOf, AFeedWithoutOpenTransactionsIsTheMomentBefore) {
  FeedStart start;
  EXPECT_TRUE(start.TakeMissed()) << "a walk finds what is there at the start";
  EXPECT_FALSE(start.TakeMissed());
  start.Note("10:10:", 10, 100 * FeedStart::kSecond);
  EXPECT_EQ(start.from(), 100 * FeedStart::kSecond - FeedStart::kSlack);
  EXPECT_FALSE(start.TakeMissed());
}

TEST(FeedStartOf, AFeedBesideAYoungTransactionIsWhereItsRowsMayBegin) {
  FeedStart start;
  start.Note("10:10:", 10, 100 * FeedStart::kSecond);
  start.Note("10:11:10", 11, 100 * FeedStart::kSecond + 5 * kMillisecond);
  start.Note("10:11:10", 11, 100 * FeedStart::kSecond + 900 * kMillisecond);
  EXPECT_LE(start.from(), 100 * FeedStart::kSecond);
  start.Note("11:11:", 11, 100 * FeedStart::kSecond + 905 * kMillisecond);
  EXPECT_GT(start.from(), 100 * FeedStart::kSecond + 800 * kMillisecond) << "its rows were read by now";
}

// Nothing newer is over yet, so the snapshot does not list it.
TEST(FeedStartOf, AFeedBesideTheNewestTransactionIsWhereItsRowsMayBegin) {
  FeedStart start;
  start.Note("10:10:", 10, 100 * FeedStart::kSecond);
  start.Note("10:10:", 11, 100 * FeedStart::kSecond + 300 * kMillisecond);
  start.Note("10:12:10", 12, 100 * FeedStart::kSecond + 600 * kMillisecond);
  EXPECT_LE(start.from(), 100 * FeedStart::kSecond);
}

TEST(FeedStartOf, AFeedBesideALongTransactionIsTheMomentBeforeUntilItIsOver) {
  FeedStart start;
  start.Note("10:10:", 10, 100 * FeedStart::kSecond);
  start.Note("10:11:10", 11, 101 * FeedStart::kSecond);
  start.Note("10:11:10", 11, 107 * FeedStart::kSecond);
  EXPECT_GT(start.from(), 106 * FeedStart::kSecond) << "the rows of six seconds are not read each time";
  start.Note("11:11:", 11, 108 * FeedStart::kSecond);
  EXPECT_LE(start.from(), 100 * FeedStart::kSecond);
  start.Note("11:11:", 11, 109 * FeedStart::kSecond);
  EXPECT_GT(start.from(), 108 * FeedStart::kSecond);
}

TEST(FeedStartOf, AFeedAfterAVeryLongTransactionNeedsAWalk) {
  FeedStart start;
  start.Note("10:10:", 10, 100 * FeedStart::kSecond);
  start.Note("10:11:10", 11, 101 * FeedStart::kSecond);
  start.TakeMissed();
  start.Note("10:11:10", 11, 400 * FeedStart::kSecond);
  EXPECT_FALSE(start.TakeMissed());
  start.Note("11:11:", 11, 401 * FeedStart::kSecond);
  EXPECT_TRUE(start.TakeMissed());
  EXPECT_GT(start.from(), 400 * FeedStart::kSecond);
}

TEST(FeedStartOf, AFeedThatBeganBesideATransactionNeedsAWalkAfterIt) {
  FeedStart start;
  start.Note("10:12:10,11", 12, 100 * FeedStart::kSecond);
  start.TakeMissed();
  start.Note("11:12:11", 12, 101 * FeedStart::kSecond);
  EXPECT_TRUE(start.TakeMissed());
  start.Note("12:12:", 12, 102 * FeedStart::kSecond);
  EXPECT_TRUE(start.TakeMissed());
}

// The server's count begins again after 4 billion; the numbers in snapshots do not.
TEST(FeedStartOf, AFeedBesideTheNewestTransactionsOfAnEpochIsWhereTheirRowsMayBegin) {
  FeedStart start;
  start.Note("4294967294:4294967294:", 4294967294, 100 * FeedStart::kSecond);
  start.Note("4294967294:4294967294:", 5, 100 * FeedStart::kSecond + 300 * kMillisecond);
  start.Note("4294967299:4294967301:4294967299", 5, 100 * FeedStart::kSecond + 600 * kMillisecond);
  EXPECT_LE(start.from(), 100 * FeedStart::kSecond);
  start.Note("4294967301:4294967301:", 5, 100 * FeedStart::kSecond + 900 * kMillisecond);
  start.Note("4294967301:4294967301:", 5, 101 * FeedStart::kSecond);
  EXPECT_GT(start.from(), 100 * FeedStart::kSecond + 900 * kMillisecond);
}

// Subtransactions have numbers of the same count.
TEST(FeedStartOf, AFeedBesideVeryManySubtransactionsNeedsAWalkAndTakesNoTime) {
  FeedStart start;
  start.Note("10:10:", 10, 100 * FeedStart::kSecond);
  start.TakeMissed();
  const SteadyTime begin = Steady::now();
  start.Note("10:10:", 10'000'000, 100 * FeedStart::kSecond);
  EXPECT_LT(Steady::now() - begin, 1s);
  EXPECT_TRUE(start.TakeMissed());
  start.Note("10000000:10000000:", 10'000'000, 101 * FeedStart::kSecond);
  EXPECT_FALSE(start.TakeMissed());
}

TEST(FeedStartOf, AFeedWhoseClockWasSetBackNeedsAWalk) {
  FeedStart start;
  start.Note("10:10:", 10, 100 * FeedStart::kSecond);
  start.TakeMissed();
  start.Note("10:10:", 10, 98 * FeedStart::kSecond);
  EXPECT_TRUE(start.TakeMissed());
  EXPECT_LT(start.from(), 98 * FeedStart::kSecond);
}

TEST(RipeStartOf, ALookIsWhereTheLastOneEnded) {
  RipeStart start;
  const SteadyTime now = Steady::now();
  const DatabaseTime moment{std::chrono::hours(1)};
  EXPECT_EQ(start.From(now), DatabaseTime());
  start.Note(std::nullopt, moment, now, now);
  EXPECT_EQ(start.From(now), moment - RipeStart::kSlack);
  start.Note(moment + 1s, moment + 5s, now, now);
  EXPECT_EQ(start.From(now), moment + 1s) << "other rows may be due since then";
}

TEST(RipeStartOf, ALookIsNowAndThenTheBeginning) {
  const SteadyTime now = Steady::now();
  const DatabaseTime moment{std::chrono::hours(1)};
  for (const auto& [took, pause] : std::vector<std::pair<Steady::duration, Steady::duration>>{
           {1ms, RipeStart::kEvery}, {100ms, RipeStart::kRest * 100ms}, {9s, RipeStart::kRarest}}) {
    const SteadyTime end = now + took;
    RipeStart start;
    start.Note(moment, moment, now, end);
    EXPECT_EQ(start.From(end + pause - 1ms), moment);
    EXPECT_EQ(start.From(end + pause), DatabaseTime());
  }
}

class Feeding : public StoreTest {
 protected:
  Feeding() {
    AddAgent("a");
    AddAgent("b");
    feed_.Read(session_);
  }

  // The agents of the rows that the feed sees now, sorted, each one once.
  std::vector<std::string> Read() {
    std::set<std::string> agents;
    for (const ReadyRow& row : feed_.Read(session_)) agents.insert(row.agent_id.get());
    return {agents.begin(), agents.end()};
  }

  ReadyFeed feed_;
};

TEST_F(Feeding, SeesWhatBecameReadySinceTheLastTime) {
  EXPECT_THAT(Read(), IsEmpty());
  AddCalls("a", 2, "a");
  EXPECT_THAT(Read(), ElementsAre("a"));
  AddCalls("b", 1, "b");
  EXPECT_THAT(Read(), ::testing::Contains("b"));
}

TEST_F(Feeding, SeesTheRowsOfATransactionThatCommitsLate) {
  pqxx::connection late(url_);
  pqxx::work transaction(late);
  transaction.exec("INSERT INTO calls (id, agent_id, status) VALUES ('late', 'b', 'completed')");
  Query("SELECT pg_sleep(0.2)");  // longer than the feed reads again in any case
  EXPECT_THAT(Read(), IsEmpty());
  for (int i = 0; i < 3; ++i) {
    AddCalls("a", 1, "a" + std::to_string(i) + "-");
    EXPECT_THAT(Read(), ElementsAre("a"));
  }
  transaction.commit();
  EXPECT_THAT(Read(), ::testing::Contains("b"));
}

TEST_F(Feeding, DoesNotReadWhatAnotherTransactionHasKeptAlive) {
  pqxx::connection report(url_);
  pqxx::work transaction(report);
  transaction.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
  transaction.exec("CREATE TABLE written (n int)");  // so it has a number, and counts as open
  AddCalls("a", 300, "a");
  EXPECT_THAT(feed_.Read(session_), SizeIs(300));
  Starter().ClaimAll(session_, 300);
  EXPECT_THAT(feed_.Read(session_), IsEmpty());
}

TEST_F(Feeding, SeesRowsWhoseWaitIsOver) {
  AddCalls("a", 1, "a");
  Query("UPDATE webhook_outbox SET awaits_analysis = true, due_at = now() + interval '1 hour'");
  feed_.Read(session_);
  EXPECT_THAT(Read(), IsEmpty());
  Query("UPDATE webhook_outbox SET due_at = now()");
  EXPECT_THAT(Read(), ElementsAre("a")) << "the feed itself makes it ready";
  EXPECT_THAT(Read(), ElementsAre("a")) << "a young row comes again";
  EXPECT_EQ(Value("SELECT awaits_analysis FROM webhook_outbox"), "f");
}

// A row that commits late is behind where the feed usually looks.
TEST_F(Feeding, SeesRowsWhoseWaitWasOverBeforeTheyWereCommitted) {
  Read();
  AddCalls("a", 600, "a");
  Query("UPDATE webhook_outbox SET awaits_analysis = true, due_at = now() - interval '1 minute'");
  const auto waiting = [&] { return Value("SELECT count(*) FROM webhook_outbox WHERE awaits_analysis"); };
  const SteadyTime begin = Steady::now();
  while (waiting() == "600" && Steady::now() - begin < std::chrono::seconds(30)) Read();
  EXPECT_EQ(waiting(), "100") << "500 at a time";
  EXPECT_THAT(Read(), ElementsAre("a"));
  EXPECT_EQ(waiting(), "0") << "the rest is looked for at once";
}

TEST_F(Feeding, SeesRowsThatAHintMakesReady) {
  AddCalls("a", 1, "a");
  Query("UPDATE webhook_outbox SET awaits_analysis = true, due_at = now() + interval '1 hour'");
  feed_.Read(session_);
  Query("SELECT pg_sleep(0.1)");  // longer than the feed reads again in any case
  feed_.Read(session_);
  Query("INSERT INTO webhook_analysis_hints VALUES ('a1')");
  ReleaseHinted(session_);
  EXPECT_THAT(Read(), ElementsAre("a"));
}

TEST_F(Feeding, SeesRowsThatAreRequeued) {
  AddCalls("a", 1, "a");
  const Made claimed = Starter().ClaimAll(session_);
  Query("SELECT pg_sleep(0.1)");
  feed_.Read(session_);
  EXPECT_THAT(Read(), IsEmpty());
  EXPECT_THAT(Requeue(session_, std::vector<ToRequeue>{{KeyOf(claimed), 1}}).not_requeued, IsEmpty());
  EXPECT_THAT(Read(), ElementsAre("a"));
}

class WalkingOver : public StoreTest {
 protected:
  static constexpr int kAllPages = 1000;

  static std::vector<std::string> AgentsOf(const WalkedRows& walked) {
    std::vector<std::string> agents;
    for (const ReadyRow& row : walked.rows) agents.push_back(row.agent_id.get());
    return agents;
  }
};

TEST_F(WalkingOver, FindsTheFirstReadyRowOfEachAgent) {
  for (const char* agent : {"a", "b"}) {
    AddAgent(agent);
    AddCalls(agent, 3, agent);
  }
  AddCalls("a", 2, "of-no-agent");
  Query("UPDATE webhook_outbox SET agent_id = '' WHERE call_id LIKE 'of-no-agent%'");
  Query("UPDATE webhook_outbox SET due_at = '2021-01-01' WHERE call_id = 'b2'");
  const WalkedRows walked = WalkOutbox(session_, 0, kAllPages);
  EXPECT_TRUE(walked.at_end);
  EXPECT_THAT(AgentsOf(walked), UnorderedElementsAre("", "a", "b"));
  for (const ReadyRow& row : walked.rows) {
    EXPECT_EQ(std::to_string(postgres::ToMicroseconds(row.at.due_at)),
              Value("SELECT (extract(epoch FROM min(due_at)) * 1000000)::bigint FROM webhook_outbox"
                    " WHERE agent_id = '" +
                    row.agent_id.get() + "'"));
  }
}

TEST_F(WalkingOver, FindsNoRowThatIsNotDueOrWaits) {
  for (const char* agent : {"later", "waits"}) {
    AddAgent(agent);
    AddCalls(agent, 1, agent);
  }
  Query("UPDATE webhook_outbox SET due_at = now() + interval '1 hour' WHERE agent_id = 'later'");
  Query("UPDATE webhook_outbox SET awaits_analysis = true WHERE agent_id = 'waits'");
  const WalkedRows walked = WalkOutbox(session_, 0, kAllPages);
  EXPECT_THAT(AgentsOf(walked), IsEmpty());
  EXPECT_TRUE(walked.at_end);
}

TEST_F(WalkingOver, FindsEachRowInOneOfItsSteps) {
  AddAgent("a");
  AddCalls("a", 1000, "call-");
  Query("UPDATE webhook_outbox SET agent_id = call_id");
  std::set<std::string> found;
  int steps = 0;
  for (bool at_end = false; !at_end; ++steps) {
    const WalkedRows walked = WalkOutbox(session_, std::int64_t{2} * steps, 2);
    for (const std::string& agent : AgentsOf(walked)) EXPECT_TRUE(found.insert(agent).second) << agent;
    at_end = walked.at_end;
  }
  EXPECT_EQ(found.size(), 1000u);
  EXPECT_GT(steps, 3);
}

TEST_F(WalkingOver, OfAnEmptyOutboxIsAtItsEndAtOnce) {
  EXPECT_TRUE(WalkOutbox(session_, 0, 1).at_end);
  EXPECT_TRUE(WalkOutbox(session_, 1'000'000, 64).at_end) << "it has become shorter meanwhile";
}

// A report that is open keeps the dead rows. An index would lead over all of them to the next row that lives.
TEST_F(WalkingOver, TakesAsLongAsItsPagesHoweverManyDeadRowsThereAre) {
  AddAgent("a");
  Query("ALTER TABLE webhook_outbox SET (autovacuum_enabled = off)");
  pqxx::connection other(url_);
  pqxx::work holder(other);
  holder.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
  holder.exec("SELECT count(*) FROM webhook_outbox");
  Query(
      "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at)"
      " SELECT 'c' || n, 'agent' || n % 2000, 'completion', now(), now() FROM generate_series(1, 200000) AS "
      "n");
  Query("DELETE FROM webhook_outbox");
  AddCalls("a", 1, "lives");
  const auto time_of = [&](std::int64_t first_page, int pages) {
    auto least = Steady::duration::max();
    for (int i = 0; i < 5; ++i) {
      const SteadyTime start = Steady::now();
      WalkOutbox(session_, first_page, pages);
      least = std::min(least, Steady::now() - start);
    }
    return least;
  };
  const auto whole = time_of(0, 1'000'000);
  EXPECT_LT(time_of(0, 64), whole / 4);
  const std::int64_t pages =
      std::stoll(Value("SELECT pg_relation_size('webhook_outbox') / current_setting('block_size')::bigint"));
  EXPECT_THAT(AgentsOf(WalkOutbox(session_, pages - 64, 64)), ElementsAre("a"));
}

}  // namespace
}  // namespace postcall::store
