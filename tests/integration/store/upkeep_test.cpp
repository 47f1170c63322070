// Partitions, hours, samples.
#include "dispatcher/store/upkeep.h"
#include "dispatcher/store/partitions.h"
#include "dispatcher/store/reports.h"
#include "tests/integration/store/store_test.h"

namespace postcall::store {
namespace {

class Upkeep : public StoreTest {};

TEST_F(Upkeep, MakesPartitionsAhead) {
  EXPECT_EQ(MakePartitions(session_, 9), 9);
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_partitions"), "11") << "yesterday, today and nine more";
}

TEST_F(Upkeep, DropsWhatRetentionHasPassedAndNotWhatIsInUse) {
  Query(
      "CREATE TABLE webhook_deliveries_20200101 PARTITION OF webhook_deliveries "
      "FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')");
  {
    pqxx::connection other(url_);
    pqxx::work report(other);
    report.exec("SELECT count(*) FROM webhook_deliveries");
    EXPECT_EQ(DropPartitions(session_, 30), 0);
    EXPECT_TRUE(session_.connected()) << "that is no error of the connection";
  }
  EXPECT_EQ(DropPartitions(session_, 30), 1);
  EXPECT_EQ(DropPartitions(session_, 30), 0);
}

TEST_F(Upkeep, SamplesTheOutbox) {
  OutboxSample sample = SampleOutbox(session_);
  EXPECT_EQ(sample.depth, 0);
  EXPECT_EQ(sample.oldest_age_s, 0);
  for (const char* agent : {"a", "b", "c"}) {
    AddAgent(agent);
    AddCalls(agent, 3, agent);
  }
  Query("UPDATE webhook_outbox SET due_at = now() + interval '1 hour'");
  sample = SampleOutbox(session_);
  EXPECT_EQ(sample.depth, 9);
  EXPECT_EQ(sample.oldest_age_s, 0) << "nothing is due";
  Query("UPDATE webhook_outbox SET due_at = now() - interval '90 seconds' WHERE call_id = 'b2'");
  EXPECT_NEAR(SampleOutbox(session_).oldest_age_s, 90, 5);
  Query("UPDATE webhook_outbox SET awaits_analysis = true");
  EXPECT_NEAR(SampleOutbox(session_).oldest_age_s, 90, 5) << "its wait is over";
}

TEST_F(Upkeep, SamplesWhatWasDecidedInTheLastFiveMinutes) {
  EXPECT_EQ(SampleRecent(session_).enqueued, 0);
  AddAgent("a");
  AddCalls("a", 7, "a");
  Query("UPDATE webhook_decisions SET decided_at = now() - interval '301 seconds' WHERE call_id = 'a1'");
  std::array<std::int64_t, kDeclineReasons.size()> expected{};
  for (std::size_t i = 0; i < kDeclineReasons.size(); ++i) {
    const std::string reason(ToString(kDeclineReasons[i]));
    expected[i] = static_cast<std::int64_t>(i) + 1;
    Query("INSERT INTO webhook_declined SELECT '" + reason + "-' || n, '" + reason +
          "', now() - n * interval '301 seconds' FROM generate_series(1, 5) n");
    Query("UPDATE webhook_decisions SET decided_at = now() WHERE call_id IN (SELECT '" + reason +
          "-' || n FROM generate_series(1, " + std::to_string(i + 1) + ") n)");
  }
  const RecentSample sample = SampleRecent(session_);
  EXPECT_EQ(sample.enqueued, 6);
  EXPECT_EQ(sample.declined, expected);
}

// It does so whatever the statistics say, and before there are any.
TEST_F(Upkeep, SamplesWhatWasDecidedLatelyByAnIndexHoweverLargeTheLedgerIs) {
  Query("ALTER TABLE webhook_decisions SET (autovacuum_enabled = false)");
  for (const std::string rows : {"('x' || n, 'a', NULL)", "('y' || n, NULL, 'no_url')"}) {
    Query(
        "INSERT INTO webhook_decisions (call_id, decided_at, agent_id, declined) SELECT v.c, now() - n * "
        "interval '1 minute', v.a, v.d FROM generate_series(1, 50000) n, LATERAL (VALUES " +
        rows + ") v (c, a, d)");
  }
  for (const char* statistics : {"SELECT", "ANALYZE webhook_decisions"}) {
    Query(statistics);
    std::string plan;
    for (const auto& row : Query("EXPLAIN SELECT * FROM webhook_recent"))
      plan += row[0].c_str() + std::string("\n");
    EXPECT_THAT(plan, ::testing::HasSubstr("webhook_decisions_enqueued")) << plan;
    EXPECT_THAT(plan, ::testing::HasSubstr("webhook_decisions_declined")) << plan;
    EXPECT_THAT(plan, ::testing::Not(::testing::HasSubstr("Seq Scan"))) << plan;
  }
}

TEST_F(Upkeep, DeletesWhatIsTooOldHoweverMuchThereIs) {
  Query(
      "INSERT INTO webhook_declined SELECT 'c' || n, 'no_url', now() - interval '401 days' "
      "FROM generate_series(1, 12000) n");
  EXPECT_EQ(PurgeOld(session_, 402), 0);
  EXPECT_EQ(PurgeOld(session_, 400), 12000);
  EXPECT_EQ(PurgeOld(session_, 400), 0);
  Query("INSERT INTO webhook_declined VALUES ('young', 'no_url', now() - interval '23 hours')");
  EXPECT_EQ(PurgeOld(session_, -1), 0) << "a day is kept in any case";
}

TEST_F(Upkeep, AccountsForEveryCompletion) {
  AddAgent("a");
  AddCalls("a", 5, "a");
  Starter().ClaimAll(session_, 2);
  EXPECT_EQ(SampleUnaccounted(session_), 0);
  Query("DELETE FROM webhook_deliveries WHERE call_id = 'a1'");
  EXPECT_EQ(SampleUnaccounted(session_), 1);
  EXPECT_EQ(CloseHours(session_), 0) << "the hour is not over";
}

}  // namespace
}  // namespace postcall::store
