// Which calls enter the outbox, and that each does so once and never again (CONTRACT §3, "Enqueueing").
#include "tests/integration/migrations/platform_database.h"

namespace postcall::test {
namespace {

class Enqueue : public PlatformDatabase {};

TEST_F(Enqueue, AnInsertedCompletedCallEntersTheOutbox) {
  InsertCall("c", "completed");
  EXPECT_EQ(Enqueued("c"), 1);
  EXPECT_TRUE(db_.True(R"(SELECT o.agent_id = 'agent' AND o.cause = 'completion' AND o.requeues = 0
                                 AND NOT o.awaits_analysis AND o.due_at = o.enqueued_at
                                 AND e.enqueued_at = o.enqueued_at AND e.agent_id = 'agent'
                            FROM webhook_outbox o JOIN webhook_enqueued e USING (call_id))"));
}

TEST_F(Enqueue, ACallThatBecomesCompletedEntersTheOutbox) {
  InsertCall("c", "in_progress");
  EXPECT_EQ(Enqueued("c"), 0);
  SetStatus("c", "completed");
  EXPECT_EQ(Enqueued("c"), 1);
}

TEST_F(Enqueue, ACallOfAnotherStatusDoesNotEnterTheOutbox) {
  for (const std::string status : {"queued", "in_progress", "failed", "canceled"}) InsertCall(status, status);
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_outbox"), 0);
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_declined"), 0);
}

TEST_F(Enqueue, CopiedRowsEnterTheOutbox) {
  db_.Run(
      R"(COPY calls (id, agent_id, status) FROM PROGRAM 'printf "a\tagent\tcompleted\nb\tagent\tqueued\n"')");
  EXPECT_EQ(Enqueued("a"), 1);
  EXPECT_EQ(Enqueued("b"), 0);
}

TEST_F(Enqueue, AnUpsertEntersTheOutboxOnce) {
  const std::string upsert = R"(INSERT INTO calls (id, agent_id, status) VALUES ('c', 'agent', 'completed')
                                    ON CONFLICT (id) DO UPDATE SET status = excluded.status)";
  db_.Run(upsert);
  db_.Run(upsert);
  EXPECT_EQ(Enqueued("c"), 1);
  InsertCall("d", "in_progress");
  db_.Run(R"(INSERT INTO calls (id, agent_id, status) VALUES ('d', 'agent', 'completed')
                 ON CONFLICT (id) DO UPDATE SET status = excluded.status)");
  EXPECT_EQ(Enqueued("d"), 1);
  db_.Run(
      R"(INSERT INTO calls (id, agent_id, status) VALUES ('d', 'agent', 'completed') ON CONFLICT DO NOTHING)");
  EXPECT_EQ(Enqueued("d"), 1);
}

TEST_F(Enqueue, AStatusThatFlipsEntersTheOutboxOnce) {
  InsertCall("c", "completed");
  for (int i = 0; i < 3; ++i) {
    SetStatus("c", "failed");
    SetStatus("c", "completed");
  }
  EXPECT_EQ(Enqueued("c"), 1);
  EXPECT_EQ(Declined("c"), "");
}

TEST_F(Enqueue, ARowDeletedAndInsertedAgainEntersTheOutboxOnce) {
  InsertCall("c", "completed");
  db_.Run("DELETE FROM calls");
  InsertCall("c", "completed");
  db_.Run("TRUNCATE calls CASCADE");
  InsertCall("c", "completed");
  EXPECT_EQ(Enqueued("c"), 1);
}

TEST_F(Enqueue, ACallThatWasSentLongAgoIsNotEnqueuedAgain) {
  InsertCall("c", "completed");
  db_.Run("DELETE FROM webhook_outbox");  // claimed and over
  SetStatus("c", "failed");
  SetStatus("c", "completed");
  EXPECT_EQ(Enqueued("c"), 0);
}

TEST_F(Enqueue, ARollbackOfThePlatformUndoesTheEntryInTheOutbox) {
  db_.Run("BEGIN");
  InsertCall("c", "completed");
  EXPECT_EQ(Enqueued("c"), 1);
  db_.Run("ROLLBACK");
  EXPECT_EQ(Enqueued("c"), 0);
  EXPECT_EQ(InLedger("c"), 0);
  InsertCall("c", "completed");
  EXPECT_EQ(Enqueued("c"), 1);
}

TEST_F(Enqueue, ManyRowsOfOneStatementEachEnterTheOutbox) {
  db_.Run("INSERT INTO calls SELECT 'c' || n, 'agent', 'in_progress' FROM generate_series(1, 500) n");
  db_.Run("UPDATE calls SET status = 'completed'");
  EXPECT_EQ(db_.Number("SELECT count(DISTINCT call_id) FROM webhook_outbox"), 500);
}

TEST_F(Enqueue, TheRowCountsAsATriggerOfThePlatformHasChangedIt) {
  db_.Run(R"(CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN NEW.status := CASE NEW.id WHEN 'up' THEN 'completed' ELSE 'failed' END; RETURN NEW; END $$)");
  InsertCall("up", "in_progress");
  InsertCall("down", "in_progress");
  db_.Run("CREATE TRIGGER judge BEFORE UPDATE ON calls FOR EACH ROW EXECUTE FUNCTION judge()");
  db_.Run("UPDATE calls SET recording_uri = 'x', status = 'completed' WHERE id = 'down'");
  db_.Run("UPDATE calls SET recording_uri = 'x' WHERE id = 'up'");
  EXPECT_EQ(Enqueued("down"), 0);
  EXPECT_EQ(Enqueued("up"), 1) << "although the statement does not set the status";
}

// --- Calls that are never sent.

TEST_F(Enqueue, TwoTransactionsThatEnqueueOneCallEnqueueItOnce) {
  InsertCall("c", "in_progress");
  Client other(url_);
  db_.Run("BEGIN; SELECT webhook_enqueue('c')");
  other.Run("SET lock_timeout = '100ms'");
  EXPECT_EQ(other.Refusal("SELECT webhook_enqueue('c')"), "55P03")
      << "it waits, because the first transaction may roll back";
  db_.Run("COMMIT");
  other.Run("SELECT webhook_enqueue('c')");
  EXPECT_EQ(Enqueued("c"), 1);
}

}  // namespace
}  // namespace postcall::test
