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

TEST_F(Upkeep, DeletesWhatIsTooOldHoweverMuchThereIs) {
  Query(
      "INSERT INTO webhook_declined SELECT 'c' || n, 'no_url', now() - interval '401 days' "
      "FROM generate_series(1, 12000) n");
  EXPECT_EQ(PurgeOld(session_), 12000);
  EXPECT_EQ(PurgeOld(session_), 0);
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
