// webhook_reconciliation accounts for every enqueued call at every moment, at bounded cost (CONTRACT §4).
#include "tests/integration/migrations/log_database.h"

namespace postcall::test {
namespace {

class Reconciliation : public LogDatabase {
 protected:
  static std::string Ago(const std::string& interval) { return "(now() - interval '" + interval + "')"; }
};

TEST_F(Reconciliation, OfAnEmptyDatabaseIsOneRowOfZeros) {
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_reconciliation"), 1);
  EXPECT_EQ(Accounts(), "");
  CloseHours();
  EXPECT_EQ(Accounts(), "");
  EXPECT_EQ(
      db_.Value("SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute"
                " WHERE attrelid = 'webhook_reconciliation'::regclass AND attnum > 0"),
      "enqueued waiting in_flight delivered rejected timeout dns_error connect_error tls_error network_error"
      " blocked invalid_settings skipped not_sent unknown unaccounted");
}

TEST_F(Reconciliation, FollowsACallFromTheOutboxToItsEnd) {
  InsertCall("c", "completed");
  EXPECT_EQ(Accounts(), "enqueued 1, waiting 1");
  Claim("c");
  EXPECT_EQ(Accounts(), "enqueued 1, in_flight 1");
  Finish("c", "delivered");
  EXPECT_EQ(Accounts(), "enqueued 1, delivered 1");
}

TEST_F(Reconciliation, CountsCompletionsOnly) {
  db_.Run(R"(INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at)
             SELECT cause, 'agent', cause, now() - interval '10 hours', now() FROM (VALUES ('resend'), ('test')) v (cause))");
  EXPECT_EQ(Accounts(), "");
  Claim("resend");
  Finish("resend", "delivered");
  EXPECT_EQ(Accounts(), "");
  EnqueueAt("c", Ago("10 hours"));
  Claim("c");
  Finish("c", "delivered");
  CloseHours();
  EXPECT_TRUE(IsClosed(Ago("10 hours"))) << "a waiting test delivery does not keep the hour open";
  EXPECT_EQ(Accounts(), "enqueued 1, delivered 1");
}

TEST_F(Reconciliation, ShowsACallThatWasLost) {
  InsertCall("c", "completed");
  db_.Run("DELETE FROM webhook_outbox");
  EXPECT_EQ(Accounts(), "enqueued 1, unaccounted 1");
}

TEST_F(Reconciliation, IsTheSameWhenHoursAreClosed) {
  const std::string outcomes[] = {"delivered",        "rejected",  "timeout",  "dns_error",
                                  "connect_error",    "tls_error", "blocked",  "network_error",
                                  "invalid_settings", "skipped",   "not_sent", "unknown"};
  int n = 0;
  for (const std::string& outcome : outcomes) {
    for (int i = 0; i <= n; ++i) {
      const std::string call = outcome + std::to_string(i);
      EnqueueAt(call, Ago(std::to_string(160 + 35 * n) + " minutes"));
      Claim(call);
      Finish(call, outcome);
    }
    ++n;
  }
  InsertCall("now", "completed");
  const std::string open =
      "enqueued 79, waiting 1, delivered 1, rejected 2, timeout 3, dns_error 4, connect_error 5, tls_error "
      "6, "
      "network_error 8, blocked 7, invalid_settings 9, skipped 10, not_sent 11, unknown 12";
  EXPECT_EQ(Accounts(), open);
  CloseHours();
  EXPECT_TRUE(IsClosed(Ago("160 minutes")));
  EXPECT_TRUE(IsClosed(Ago("400 minutes")));
  EXPECT_EQ(Accounts(), open);
  db_.Run(
      "DELETE FROM webhook_summary WHERE hour = (SELECT min(hour) + interval '2 hours' FROM "
      "webhook_summary)");
  EXPECT_EQ(Accounts(), open) << "with an hour that was opened again";
  CloseHours();
  EXPECT_EQ(Accounts(), open);
}

TEST_F(Reconciliation, AnHourStaysOpenWhileACallOfItWaitsOrIsInFlight) {
  EnqueueAt("first", Ago("10 hours"));
  Claim("first");
  Finish("first", "delivered");
  EnqueueAt("late", Ago("5 hours"));
  CloseHours();
  EXPECT_TRUE(IsClosed(Ago("10 hours")));
  EXPECT_TRUE(IsClosed(Ago("6 hours")));
  EXPECT_FALSE(IsClosed(Ago("5 hours")));
  Claim("late", "interval '4 hours'");
  CloseHours();
  EXPECT_FALSE(IsClosed(Ago("5 hours")));
  EXPECT_EQ(Accounts(), "enqueued 2, in_flight 1, delivered 1");
  Finish("late", "timeout");
  CloseHours();
  EXPECT_TRUE(IsClosed(Ago("5 hours")));
  EXPECT_EQ(Accounts(), "enqueued 2, delivered 1, timeout 1");
}

TEST_F(Reconciliation, AnHourStaysOpenForAnHourAfterItsEnd) {
  EnqueueAt("before", Ago("2 hours"));
  EnqueueAt("now", Ago("0 hours"));
  for (const std::string call : {"before", "now"}) {
    Claim(call);
    Finish(call, "delivered");
  }
  CloseHours();
  EXPECT_TRUE(IsClosed(Ago("2 hours")));
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_summary WHERE hour + interval '2 hours' > now()"), 0);
}

// The database's clock was set back, or a replica whose clock is behind took over.
TEST_F(Reconciliation, CountsACompletionByAClockThatIsHalfAnHourBehind) {
  EnqueueAt("before", Ago("10 hours"));
  Claim("before");
  Finish("before", "delivered");
  // By the earlier clock this is the last hour that has ended.
  db_.Run("UPDATE webhook_settled SET settled_until = date_trunc('hour', now(), 'UTC') + interval '1 hour'");
  CloseHours();
  EnqueueAt("behind", "date_trunc('hour', now(), 'UTC') + interval '30 minutes'");
  EXPECT_EQ(Accounts(), "enqueued 2, waiting 1, delivered 1");
  Claim("behind");
  Finish("behind", "delivered");
  EXPECT_EQ(Accounts(), "enqueued 2, delivered 2");
}

TEST_F(Reconciliation, AnHourStaysOpenWhileATransactionMayStillCommitACallOfIt) {
  EnqueueAt("first", Ago("10 hours"));
  Claim("first");
  Finish("first", "delivered");
  db_.Run("UPDATE webhook_settled SET settled_until = " + Ago("6 hours"));
  // This transaction completed a call five hours ago and has not committed yet.
  Client platform(url_);
  platform.Run("BEGIN");
  platform.Run("INSERT INTO calls (id, agent_id, status) VALUES ('late', 'agent', 'completed')");
  platform.Run("UPDATE webhook_enqueued SET enqueued_at = now() - interval '5 hours' WHERE call_id = 'late'");
  platform.Run("UPDATE webhook_outbox SET enqueued_at = now() - interval '5 hours' WHERE call_id = 'late'");

  CloseHours();
  CloseHours();
  EXPECT_TRUE(IsClosed(Ago("10 hours")));
  EXPECT_FALSE(IsClosed(Ago("5 hours")));
  platform.Run("COMMIT");
  EXPECT_EQ(Accounts(), "enqueued 2, waiting 1, delivered 1");
  Claim("late");
  Finish("late", "delivered");
  CloseHours();
  EXPECT_TRUE(IsClosed(Ago("5 hours")));
  EXPECT_EQ(Accounts(), "enqueued 2, delivered 2");
}

TEST_F(Reconciliation, ClosesHoursAlsoAfterARestoreIntoAnotherCluster) {
  EnqueueAt("c", Ago("10 hours"));
  Claim("c");
  Finish("c", "delivered");
  db_.Run("UPDATE webhook_settled SET next_until = now(), next_after = '9000000000000000'::xid8");
  CloseHours();
  EXPECT_TRUE(IsClosed(Ago("10 hours")));
}

TEST_F(Reconciliation, CountsALateOutcomeOfAClosedHour) {
  EnqueueAt("c", Ago("10 hours"));
  Claim("c");
  Finish("c", "unknown");
  CloseHours();
  EXPECT_EQ(Accounts(), "enqueued 1, unknown 1");
  Resolve("c", "delivered");
  EXPECT_EQ(Accounts(), "enqueued 1, delivered 1");
  CloseHours();
  EXPECT_TRUE(IsClosed(Ago("10 hours")));
  EXPECT_EQ(Accounts(), "enqueued 1, delivered 1");
}

TEST_F(Reconciliation, ALateOutcomeAndTheClosingOfItsHourWaitForEachOther) {
  EnqueueAt("c", Ago("10 hours"));
  Claim("c");
  Finish("c", "unknown");
  db_.Run("SELECT webhook_close_hours()");
  Client closing(url_);
  closing.Run("BEGIN; SELECT webhook_close_hours()");
  db_.Run("SET lock_timeout = '100ms'");
  EXPECT_THROW(Resolve("c", "delivered"), pqxx::sql_error) << "otherwise the sum would keep the old outcome";
  db_.Run("ROLLBACK; RESET lock_timeout");
  closing.Run("COMMIT");
  Resolve("c", "delivered");
  EXPECT_EQ(Accounts(), "enqueued 1, delivered 1");
}

TEST_F(Reconciliation, StaysCorrectWhenPartitionsOfTheLogAreDropped) {
  for (int days = 1; days <= 4; ++days) MakePartition(days);
  for (int days = 1; days <= 3; ++days) {
    // Two calls are enqueued at the end of their UTC day, and one of them is claimed on the next day.
    const std::string midnight =
        "date_trunc('day', now(), 'UTC') - interval '" + std::to_string(days - 1) + " days'";
    const std::string n = std::to_string(days);
    EnqueueAt("early" + n, "(" + midnight + " - interval '12 hours')");
    EnqueueAt("last" + n, "(" + midnight + " - interval '6 minutes')");
    EnqueueAt("late" + n, "(" + midnight + " - interval '5 minutes')");
    Claim("early" + n);
    Claim("last" + n);
    Claim("late" + n, "interval '10 minutes'");
    Finish("early" + n, "delivered");
    Finish("last" + n, "delivered");
    Finish("late" + n, "unknown");
  }
  const std::string all = "enqueued 9, delivered 6, unknown 3";
  db_.Run("SELECT webhook_close_hours()");  // marks the moment
  for (int dropped = 1;; ++dropped) {
    CloseHours();
    EXPECT_EQ(Accounts(), all);
    if (db_.Number("SELECT webhook_drop_partitions(1)") == 0) {
      EXPECT_EQ(dropped, 4);
      break;
    }
  }
  EXPECT_TRUE(HasPartition(1));
  EXPECT_FALSE(HasPartition(2));
  EXPECT_EQ(Accounts(), all);
  Resolve("late2", "delivered");  // its hour is final, although the partition of its row still exists
  EXPECT_EQ(db_.Value("SELECT unaccounted FROM webhook_reconciliation"), "0");
  CloseHours();
  EXPECT_EQ(db_.Value("SELECT unaccounted FROM webhook_reconciliation"), "0");
}

TEST_F(Reconciliation, CountsAnyMixtureExactly) {
  for (int days = 1; days <= 3; ++days) MakePartition(days);
  db_.Run("SELECT setseed(0.25)");
  db_.Run("ALTER TABLE calls DISABLE TRIGGER USER");
  db_.Run("INSERT INTO calls SELECT 'c' || n, 'agent', 'completed' FROM generate_series(1, 3000) n");
  db_.Run(R"(INSERT INTO webhook_enqueued
             SELECT id, agent_id, now() - random() ^ 2 * interval '50 hours' FROM calls)");
  db_.Run(
      R"(INSERT INTO webhook_deliveries (id, call_id, agent_id, cause, outcome, reached, http_status, enqueued_at,
                                             due_at, claimed_at, finished_at, dispatcher, claim_id)
             SELECT row_number() OVER (), call_id, agent_id, 'completion', outcome,
                    CASE WHEN outcome <> 'unknown' THEN 'response_complete' END,
                    CASE outcome WHEN 'delivered' THEN 200 WHEN 'rejected' THEN 404 END,
                    enqueued_at, enqueued_at, claimed_at, claimed_at, 'test', gen_random_uuid()
               FROM (SELECT *, (ARRAY['delivered', 'rejected', 'timeout', 'unknown'])[1 + floor(random() * 4)] AS outcome,
                            enqueued_at + random() * (now() - enqueued_at) AS claimed_at
                       FROM webhook_enqueued) e)");
  const std::string expected = db_.Value(
      R"(SELECT 'enqueued ' || (SELECT count(*) FROM webhook_enqueued) || ', ' || string_agg(outcome || ' ' || n, ', ' ORDER BY
                array_position(ARRAY['delivered', 'rejected', 'timeout', 'unknown'], outcome))
           FROM (SELECT outcome, count(*) AS n FROM webhook_deliveries GROUP BY 1) o)");
  EXPECT_EQ(Accounts(), expected);
  CloseHours();
  EXPECT_GT(db_.Number("SELECT count(*) FROM webhook_summary"), 40);
  EXPECT_EQ(Accounts(), expected);
  while (db_.Number("SELECT webhook_drop_partitions(0)") > 0) EXPECT_EQ(Accounts(), expected);
  EXPECT_EQ(Accounts(), expected);
}

TEST_F(Reconciliation, DoesNotDependOnTheTimeZone) {
  EnqueueAt("c", Ago("10 hours"));
  Claim("c");
  Finish("c", "unknown");
  db_.Run("SET TIME ZONE 'Asia/Kolkata'");  // its hours begin at half past the hours of UTC
  CloseHours();
  EXPECT_TRUE(IsClosed(Ago("10 hours")));
  EXPECT_EQ(Accounts(), "enqueued 1, unknown 1");
  db_.Run("SET TIME ZONE 'UTC'");
  EXPECT_EQ(Accounts(), "enqueued 1, unknown 1");
  Resolve("c", "delivered");
  EXPECT_EQ(Accounts(), "enqueued 1, delivered 1");
}

TEST_F(Reconciliation, OldDecisionsAreDeletedTogetherWithTheirSums) {
  MakePartition(1);
  EnqueueAt("old", Ago("401 days"));
  db_.Run("DELETE FROM webhook_outbox");  // it was delivered, and its partition was dropped
  db_.Run(R"(INSERT INTO webhook_declined VALUES ('d-old', 'no_url', now() - interval '401 days'),
                                                 ('d-new', 'no_url', now() - interval '399 days'))");
  EnqueueAt("new", Ago("3 hours"));
  EXPECT_EQ(db_.Number("SELECT webhook_purge(100, 400)"), 1) << "the hour of the old call is not closed yet";
  EXPECT_EQ(InLedger("old"), 1);
  db_.Run(R"(INSERT INTO webhook_summary
             SELECT h, (h = first)::int, (h = first)::int, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, true
               FROM (SELECT date_trunc('hour', min(enqueued_at), 'UTC') AS first FROM webhook_enqueued) f,
                    generate_series(first, date_trunc('hour', now() - interval '4 hours', 'UTC'), interval '1 hour') h)");
  EXPECT_EQ(Accounts(), "enqueued 2, waiting 1, delivered 1");
  EXPECT_EQ(db_.Number("SELECT webhook_purge(100, 402)"), 0) << "they are kept for longer";
  EXPECT_GT(db_.Number("SELECT webhook_purge(100, 400)"), 24);
  EXPECT_EQ(db_.Number("SELECT webhook_purge(100, 400)"), 0);
  EXPECT_EQ(InLedger("old"), 0);
  EXPECT_GT(db_.Number("SELECT count(*) FROM webhook_summary"), 0) << "the sums of the 400 days remain";
  EXPECT_EQ(Declined("d-new"), "no_url");
  EXPECT_EQ(Accounts(), "enqueued 1, waiting 1");
}

}  // namespace
}  // namespace postcall::test
