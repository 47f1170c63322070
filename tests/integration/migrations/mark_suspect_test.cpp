// webhook_mark_suspect: after commits were lost, a call that may have been sent is not sent again
// (deploy/OPERATIONS.md).
#include <gmock/gmock.h>

#include "tests/integration/migrations/log_database.h"

namespace postcall::test {
namespace {

using ::testing::HasSubstr;

class MarkSuspect : public LogDatabase {
 protected:
  int Mark(const std::string& before) { return db_.Number("SELECT webhook_mark_suspect(" + before + ")"); }
  void Register(const std::string& instance, const std::string& ago) {
    db_.Run("INSERT INTO webhook_dispatchers VALUES (gen_random_uuid(), " + Quote(instance) +
            ", now(), now() - interval " + Quote(ago) + ")");
  }
};

TEST_F(MarkSuspect, MakesWaitingCallsUnknownButNoLaterCall) {
  EnqueueAt("before", "(now() - interval '10 minutes')");
  EnqueueAt("after", "(now() - interval '5 minutes')");
  EXPECT_EQ(Mark("now() - interval '7 minutes'"), 1);
  EXPECT_EQ(Enqueued("before"), 0);
  EXPECT_EQ(Enqueued("after"), 1);
  EXPECT_EQ(
      db_.Value("SELECT call_id || ' ' || agent_id || ' ' || cause || ' ' || outcome || ' ' || dispatcher"
                "  FROM webhook_deliveries"),
      "before agent completion unknown webhook_mark_suspect");
  EXPECT_THAT(db_.Value("SELECT error FROM webhook_failures"), HasSubstr("may have arrived"));
  EXPECT_EQ(Accounts(), "enqueued 2, waiting 1, unknown 1");
  EXPECT_EQ(Mark("now() - interval '7 minutes'"), 0) << "a second call finds no rows";
}

TEST_F(MarkSuspect, WithInfinityMarksAllWaitingCalls) {
  for (const std::string call : {"a", "b"}) InsertCall(call, "completed");
  db_.Run(
      "UPDATE webhook_outbox SET due_at = now() + interval '1 hour', awaits_analysis = true WHERE call_id = "
      "'b'");
  EXPECT_EQ(Mark("'infinity'"), 2);
  EXPECT_EQ(Accounts(), "enqueued 2, unknown 2");
  EXPECT_EQ(db_.Refusal("SELECT webhook_mark_suspect(NULL)"), "22004");
}

TEST_F(MarkSuspect, MarksAResendToo) {
  db_.Run(R"(INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at)
             VALUES ('c', 'agent', 'resend', now(), now()))");
  EXPECT_EQ(Mark("'infinity'"), 1);
  EXPECT_EQ(db_.Value("SELECT cause || ' ' || outcome FROM webhook_deliveries"), "resend unknown");
  EXPECT_EQ(Accounts(), "");
}

TEST_F(MarkSuspect, MakesRowsInFlightUnknownButNoFinishedRow) {
  for (const std::string call : {"flying", "over"}) {
    EnqueueAt(call, "(now() - interval '1 minute')");
    Claim(call);
  }
  Finish("over", "delivered");
  EXPECT_EQ(Mark("'-infinity'"), 1);
  EXPECT_EQ(Accounts(), "enqueued 2, delivered 1, unknown 1");
  EXPECT_EQ(db_.Value("SELECT dispatcher FROM webhook_deliveries WHERE outcome = 'unknown'"), "test");
}

TEST_F(MarkSuspect, KeepsTheSumsOfClosedHours) {
  MakePartition(1);
  EnqueueAt("old", "(now() - interval '10 hours')");
  EnqueueAt("done", "(now() - interval '11 hours')");
  Claim("done");
  Finish("done", "delivered");
  CloseHours();
  EXPECT_EQ(Mark("'infinity'"), 1);
  CloseHours();
  EXPECT_TRUE(db_.True("SELECT count(*) > 5 FROM webhook_summary"));
  EXPECT_EQ(Accounts(), "enqueued 2, delivered 1, unknown 1");
}

TEST_F(MarkSuspect, EnqueuesNoCallASecondTime) {
  InsertCall("c", "completed");
  Mark("'infinity'");
  SetStatus("c", "in_progress");
  SetStatus("c", "completed");
  EXPECT_EQ(Enqueued("c"), 0);
}

TEST_F(MarkSuspect, RefusesWhileADispatcherIsAlive) {
  InsertCall("c", "completed");
  Register("node-7", "10 seconds");
  EXPECT_EQ(db_.Refusal("SELECT webhook_mark_suspect('infinity')"), "55006");
  try {
    Mark("'infinity'");
  } catch (const pqxx::sql_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("the dispatcher node-7 was alive at"));
  }
  EXPECT_EQ(Enqueued("c"), 1);
  db_.Run("UPDATE webhook_dispatchers SET heartbeat_at = now() - interval '31 seconds'");
  EXPECT_EQ(Mark("'infinity'"), 1);
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_dispatchers"), 0)
      << "a dispatcher that has lost its connection must not send any more";
}

TEST_F(MarkSuspect, MakesADispatcherThatStartsNowWait) {
  InsertCall("c", "completed");
  db_.Run("BEGIN");
  Mark("'infinity'");
  Client starting(url_);
  starting.Run("SET lock_timeout = '100ms'");
  EXPECT_EQ(starting.Refusal("INSERT INTO webhook_dispatchers VALUES (gen_random_uuid(), 'x', now(), now())"),
            "55P03");
  db_.Run("COMMIT");
}

TEST_F(MarkSuspect, WorksOnABackupThatHasNoPartitionForToday) {
  EnqueueAt("c", "(now() - interval '20 days')");
  db_.Run(
      "DO $$ DECLARE p text; BEGIN FOR p IN SELECT name FROM webhook_partitions LOOP EXECUTE 'DROP TABLE ' "
      "|| p; END "
      "LOOP; END $$");
  EXPECT_EQ(Mark("'infinity'"), 1);
  EXPECT_EQ(Accounts(), "enqueued 1, unknown 1");
}

TEST_F(MarkSuspect, MayBeCalledByTheOwnerOnly) {
  EXPECT_EQ(db_.Value("SELECT proacl FROM pg_proc WHERE proname = 'webhook_mark_suspect'"),
            "{postgres=X/postgres}");
}

}  // namespace
}  // namespace postcall::test
