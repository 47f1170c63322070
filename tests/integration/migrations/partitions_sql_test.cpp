// Partitions of the log are made and dropped without making a claim wait (CONTRACT §4).
#include <atomic>
#include <thread>

#include "tests/integration/migrations/log_database.h"

namespace postcall::test {
namespace {

class PartitionFunctions : public LogDatabase {
 protected:
  // Inserts a row for the present moment. Throws when it has waited two seconds for a lock.
  static void ClaimSomething(Client& dispatcher) {
    dispatcher.Run("SET lock_timeout = '2s'");
    dispatcher.Run(
        R"(INSERT INTO webhook_deliveries (id, call_id, agent_id, cause, outcome, enqueued_at, due_at,
                                                      claimed_at, dispatcher, claim_id)
                      SELECT nextval('webhook_delivery_id_seq'), 'c', 'agent', 'completion', 'in_flight', now, now, now,
                             'test', gen_random_uuid() FROM clock_timestamp() AS now)");
  }
};

TEST_F(PartitionFunctions, CoverYesterdayToAWeekAheadAfterMigrating) {
  for (int days_ago = 1; days_ago >= -7; --days_ago) EXPECT_TRUE(HasPartition(days_ago)) << days_ago;
  EXPECT_FALSE(HasPartition(2));
  EXPECT_FALSE(HasPartition(-8));
}

TEST_F(PartitionFunctions, MakeMissingPartitionsAndReturnHowManyDaysAheadThereAre) {
  EXPECT_EQ(db_.Number("SELECT webhook_make_partitions(7)"), 7);
  EXPECT_EQ(db_.Number("SELECT webhook_make_partitions(3)"), 7);
  EXPECT_EQ(db_.Number("SELECT webhook_make_partitions(9)"), 9);
  EXPECT_TRUE(HasPartition(-9));
  db_.Run(
      "DO $$ BEGIN EXECUTE 'DROP TABLE ' || (SELECT name FROM webhook_partitions ORDER BY day OFFSET 4 LIMIT "
      "1); END $$");
  EXPECT_EQ(db_.Number("SELECT webhook_make_partitions(0)"), 2) << "only the days before the gap count";
  EXPECT_EQ(db_.Number("SELECT webhook_make_partitions(9)"), 9);
  db_.Run(
      "DO $$ DECLARE p text; BEGIN FOR p IN SELECT name FROM webhook_partitions LOOP EXECUTE 'DROP TABLE ' "
      "|| p; END LOOP; END $$");
  db_.Run("BEGIN; SELECT pg_advisory_xact_lock('webhook_deliveries'::regclass::oid::bigint)");
  EXPECT_EQ(Client(url_).Number("SELECT webhook_make_partitions(7)"), -1) << "another session is making them";
}

TEST_F(PartitionFunctions, UseUtcDaysWhateverTheTimeZone) {
  db_.Run("SET TIME ZONE 'Pacific/Kiritimati'; SET datestyle = 'SQL, DMY'");
  db_.Run(
      "DO $$ BEGIN EXECUTE 'DROP TABLE ' || (SELECT name FROM webhook_partitions ORDER BY day DESC LIMIT 1); "
      "END $$");
  EXPECT_EQ(db_.Number("SELECT webhook_make_partitions(7)"), 7);
  db_.Run("SET TIME ZONE 'UTC'; SET datestyle = ISO");
  EXPECT_EQ(db_.Value(R"(SELECT count(*) FROM webhook_partitions
                          WHERE pg_get_expr((SELECT relpartbound FROM pg_class WHERE relname = name), 0)
                              = format('FOR VALUES FROM (''%s 00:00:00+00'') TO (''%s 00:00:00+00'')', day, day + 1))"),
            "9");
}

TEST_F(PartitionFunctions, MakePartitionsLikeTheLog) {
  EXPECT_EQ(
      db_.Value(
          R"(SELECT count(DISTINCT (SELECT count(*) FROM pg_index i WHERE i.indrelid = p.name::regclass)) || ' '
                             || min((SELECT count(*) FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid
                                      WHERE i.indrelid = p.name::regclass))
                             || ' ' || (SELECT count(*) FROM pg_index WHERE indrelid = 'webhook_deliveries'::regclass)
                           FROM webhook_partitions p)"),
      "1 5 5");
}

TEST_F(PartitionFunctions, MakePartitionsWhileALongReportReadsTheLog) {
  Client report(url_);
  report.Run("BEGIN; SELECT count(*) FROM webhook_deliveries");
  Client dispatcher(url_);
  dispatcher.Run("BEGIN");
  ClaimSomething(dispatcher);
  EXPECT_EQ(db_.Number("SELECT webhook_make_partitions(12)"), 12);
  dispatcher.Run("COMMIT");
}

TEST_F(PartitionFunctions, DropPartitionsOnlyWhenNoReportReadsTheLogAndClaimsNeverWait) {
  for (int days = 2; days <= 5; ++days) MakePartition(days);
  Client report(url_);
  report.Run("BEGIN; SELECT count(*) FROM webhook_deliveries");
  std::atomic<bool> stop{false};
  std::atomic<int> claims{0};
  std::string failed;
  std::thread claiming([&] {
    try {
      Client dispatcher(url_);
      while (!stop) {
        ClaimSomething(dispatcher);
        ++claims;
      }
    } catch (const std::exception& error) {
      failed = error.what();
    }
  });
  for (int i = 0; i < 20; ++i) {
    const int before = claims;
    EXPECT_EQ(db_.Refusal("SELECT webhook_drop_partitions(3)"), "55P03");
    while (claims == before && failed.empty()) std::this_thread::yield();
  }
  stop = true;
  claiming.join();
  EXPECT_EQ(failed, "");
  report.Run("COMMIT");
  db_.Run("DELETE FROM webhook_deliveries");
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(3)"), 1);
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(3)"), 1);
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(3)"), 0);
  EXPECT_TRUE(HasPartition(3));
  EXPECT_FALSE(HasPartition(4));
}

TEST_F(PartitionFunctions, DropAPartitionOnceTheTransactionOfARecordIsOver) {
  for (int days = 2; days <= 3; ++days) MakePartition(days);
  Client recorder(url_);
  recorder.Run("BEGIN; UPDATE webhook_deliveries SET error = 'x' WHERE outcome = 'in_flight'");
  EXPECT_EQ(db_.Refusal("SELECT webhook_drop_partitions(1)"), "55P03");
  recorder.Run("COMMIT");
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(1)"), 1);
}

TEST_F(PartitionFunctions, KeepADayWhoseCallsAreNotFinished) {
  for (int days = 2; days <= 3; ++days) MakePartition(days);
  EnqueueAt("c", "(date_trunc('day', now(), 'UTC') - interval '40 hours')");
  CloseHours();
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(1)"), 1) << "three days ago nothing happened";
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(1)"), 0) << "a call of two days ago waits";
  Claim("c");
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(1)"), 0) << "it is in flight";
  Finish("c", "delivered");
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(1)"), 0) << "its hour is not closed";
  CloseHours();
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(1)"), 1);
}

TEST_F(PartitionFunctions, KeepADayWithAResendInFlight) {
  MakePartition(2);
  EnqueueAt("c", "(date_trunc('day', now(), 'UTC') - interval '40 hours')");
  db_.Run("UPDATE webhook_outbox SET cause = 'resend'; DELETE FROM webhook_enqueued");
  Claim("c");
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(1)"), 0);
  Finish("c", "unknown");
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(1)"), 1);
}

TEST_F(PartitionFunctions, NeverDropTheCurrentDay) {
  db_.Run("SELECT webhook_drop_partitions(0), webhook_drop_partitions(-5)");
  EXPECT_EQ(db_.Number("SELECT webhook_drop_partitions(0)"), 0);
  EXPECT_TRUE(HasPartition(0));
  EXPECT_FALSE(HasPartition(1));
}

TEST_F(PartitionFunctions, AreSafeWhenManyDispatchersCallThemAtOnce) {
  for (int days = 2; days <= 12; ++days) MakePartition(days);
  std::atomic<int> dropped{0};
  std::atomic<int> odd{0};
  std::vector<std::thread> dispatchers;
  for (int n = 0; n < 4; ++n) {
    dispatchers.emplace_back([&, n] {
      Client dispatcher(url_);
      for (int i = 0; i < 15; ++i) {
        for (const std::string& statement :
             {"SELECT webhook_make_partitions(" + std::to_string(8 + n + i) + ")",
              std::string("SELECT webhook_close_hours()"), std::string("SELECT webhook_purge(10, 400)")}) {
          const std::string refusal = dispatcher.Refusal(statement);
          if (!refusal.empty() && refusal != "55P03") ++odd;
        }
        try {
          dropped += dispatcher.Number("SELECT webhook_drop_partitions(1)");
        } catch (const pqxx::sql_error& error) {
          // Another dispatcher dropped the same partition, so the table does not exist any more.
          if (error.sqlstate() != "55P03") ++odd;
        }
      }
    });
  }
  for (std::thread& dispatcher : dispatchers) dispatcher.join();
  EXPECT_EQ(odd, 0);
  while (db_.Number("SELECT webhook_drop_partitions(1)") > 0) ++dropped;
  EXPECT_EQ(dropped, 11);
  EXPECT_EQ(db_.Number("SELECT webhook_make_partitions(25)"), 25);
}

}  // namespace
}  // namespace postcall::test
