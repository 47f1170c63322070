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

TEST_F(Enqueue, AnAgentWithoutUrlEnqueuesNothingThenOrLater) {
  InsertCall("c", "completed", "mute");
  EXPECT_EQ(Enqueued("c"), 0);
  EXPECT_EQ(InLedger("c"), 0);
  EXPECT_EQ(Declined("c"), "no_url");
  db_.Run(R"(UPDATE agents SET settings = '{"webhooks": {"postCall": "https://late.example.com"}}')");
  SetStatus("c", "failed");
  SetStatus("c", "completed");
  EXPECT_EQ(Enqueued("c"), 0) << "the decision is final";
}

TEST_F(Enqueue, NoSettingsMakeThePlatformFail) {
  const std::string nothing[] = {"null",
                                 "[]",
                                 "5",
                                 "true",
                                 "\"text\"",
                                 "{}",
                                 R"({"webhooks": null})",
                                 R"({"webhooks": []})",
                                 R"({"webhooks": "postCall"})",
                                 R"({"webhooks": {"postCall": null}})",
                                 R"({"webhooks": {"postCall": ""}})",
                                 R"([{"webhooks": {"postCall": "https://x"}}])"};
  const std::string something[] = {R"({"webhooks": {"postCall": 5}})",
                                   R"({"webhooks": {"postCall": {}}})",
                                   R"({"webhooks": {"postCall": ["https://x"]}})",
                                   R"({"webhooks": {"postCall": " "}})",
                                   R"({"webhooks": {"postCall": false}})",
                                   R"({"webhooks": {"postCall": "no url at all"}})"};
  for (const std::string& settings : nothing) {
    db_.Run("UPDATE agents SET settings = " + Quote(settings) + " WHERE id = 'mute'");
    InsertCall(settings, "completed", "mute");
    EXPECT_EQ(Enqueued(settings), 0) << settings;
    EXPECT_EQ(Declined(settings), "no_url") << settings;
  }
  for (const std::string& settings : something) {
    db_.Run("UPDATE agents SET settings = " + Quote(settings) + " WHERE id = 'mute'");
    InsertCall(settings, "completed", "mute");
    EXPECT_EQ(Enqueued(settings), 1) << settings << " ends as invalid_settings, which is in the log";
  }
}

TEST_F(Enqueue, NoIdMakesThePlatformFail) {
  const std::string longest(1024, 'x');
  const std::string too_long(1025, 'y');
  for (const std::string& id :
       {std::string(), std::string(" "), std::string("'; DROP TABLE calls; --"), longest}) {
    InsertCall(id, "completed");
    EXPECT_EQ(Enqueued(id), 1) << id;
  }
  InsertCall(too_long, "completed");
  EXPECT_EQ(Enqueued(too_long), 0);
  SetStatus(too_long, "failed");
  db_.Run("DELETE FROM calls");

  db_.Run("INSERT INTO agents SELECT " + Quote(too_long) +
          ", 'Long', settings FROM agents WHERE id = 'agent'");
  InsertCall("c", "completed", too_long);
  EXPECT_EQ(Enqueued("c"), 0);
  EXPECT_EQ(Declined("c"), "agent_id_too_long");
}

TEST_F(Enqueue, AnIdOfNoCallIsIgnored) {
  db_.Run("SELECT webhook_enqueue(NULL)");
  db_.Run("SELECT webhook_enqueue('no-call')");
  db_.Run("SELECT webhook_enqueue(call_id => repeat('z', 5000))");
  db_.Run(
      "SELECT webhook_ready(NULL), webhook_ready('no-call'), "
      "webhook_ready(repeat('z', 5000))");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_outbox"), 0);
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_declined"), 0);
}

// --- Imports, and calls that were completed before installation.

TEST_F(Enqueue, AnImportEnqueuesNothingThenOrLater) {
  int n = 0;
  for (const std::string off : {"off", "OFF", " false", "no", "0"}) {
    const std::string call = "c" + std::to_string(++n);
    db_.Run("BEGIN");
    db_.Run("SET LOCAL postcall.enqueue = " + Quote(off));
    InsertCall(call, "completed");
    db_.Run("COMMIT");
    EXPECT_EQ(Enqueued(call), 0) << off;
    EXPECT_EQ(Declined(call), "") << "an import of millions of calls writes no rows of ours";
    SetStatus(call, "failed");
    EXPECT_EQ(Declined(call), "completed_unseen");
    SetStatus(call, "completed");
    EXPECT_EQ(Enqueued(call), 0) << "it was completed by the import";
  }
  InsertCall("after", "completed");
  EXPECT_EQ(Enqueued("after"), 1) << "the setting ends with its transaction";
}

TEST_F(Enqueue, AnySettingButOffMeansOn) {
  for (const std::string on : {"on", "", "true", "1", "rubbish"}) {
    db_.Run("SET postcall.enqueue = " + Quote(on));
    InsertCall("c" + on, "completed");
    EXPECT_EQ(Enqueued("c" + on), 1) << on;
  }
}

TEST_F(Enqueue, AnImportByDirectCallIsDeclinedAtOnce) {
  InsertCall("c", "in_progress");
  db_.Run("SET postcall.enqueue = off; SELECT webhook_enqueue('c'); RESET postcall.enqueue");
  EXPECT_EQ(Declined("c"), "switched_off");
  db_.Run("SELECT webhook_enqueue('c')");
  EXPECT_EQ(Enqueued("c"), 0);
}

class BeforeInstallation : public PlatformDatabase {
 protected:
  // As if these calls had been completed before the triggers were created.
  BeforeInstallation() {
    db_.Run("ALTER TABLE calls DISABLE TRIGGER USER");
    InsertCall("old", "completed");
    db_.Run("ALTER TABLE calls ENABLE TRIGGER USER");
  }
};

TEST_F(BeforeInstallation, CompletedCallsStayOutWhenTheyAreUpdated) {
  db_.Run("UPDATE calls SET recording_uri = 'new', status = 'completed'");
  EXPECT_EQ(Enqueued("old"), 0);
  EXPECT_EQ(Declined("old"), "");
}

TEST_F(BeforeInstallation, CompletedCallsStayOutWhenTheirStatusFlips) {
  SetStatus("old", "failed");
  SetStatus("old", "completed");
  EXPECT_EQ(Enqueued("old"), 0);
}

TEST_F(BeforeInstallation, CompletedCallsStayOutWhenTheyAreDeletedAndInsertedAgain) {
  db_.Run("DELETE FROM calls");
  InsertCall("old", "completed");
  EXPECT_EQ(Enqueued("old"), 0);
}

TEST_F(BeforeInstallation, CompletedCallsStayOutWhenTheTableIsTruncatedAndFilledAgain) {
  db_.Run("TRUNCATE agents CASCADE");
  db_.Run(R"(INSERT INTO agents VALUES ('agent', 'A', '{"webhooks": {"postCall": "https://x"}}'))");
  InsertCall("old", "completed");
  InsertCall("new", "completed");
  EXPECT_EQ(Enqueued("old"), 0);
  EXPECT_EQ(Enqueued("new"), 1);
}

TEST_F(BeforeInstallation, CompletedCallsStayOutWhenTheirIdChanges) {
  db_.Run("UPDATE calls SET id = 'renamed'");
  SetStatus("renamed", "failed");
  SetStatus("renamed", "completed");
  InsertCall("old", "completed");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_outbox"), 0);
}

TEST_F(BeforeInstallation, UnfinishedCallsStillEnterTheOutbox) {
  db_.Run("ALTER TABLE calls DISABLE TRIGGER USER");
  InsertCall("running", "in_progress");
  db_.Run("ALTER TABLE calls ENABLE TRIGGER USER");
  SetStatus("running", "completed");
  EXPECT_EQ(Enqueued("running"), 1);
}

// --- Two transactions, and two roles.

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

TEST_F(Enqueue, ThePlatformNeedsNoRightsOnOurTables) {
  SharedPostgres().Execute(
      R"(DO $$ BEGIN CREATE ROLE platform LOGIN; EXCEPTION WHEN duplicate_object THEN END $$)");
  db_.Run(
      "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON agents, calls, caller_details, call_analysis TO "
      "platform");
  Client platform(SharedPostgres().Url(db_.Value("SELECT current_database()"), "platform"));
  platform.Run("SET postcall.wait_for = 'analysis'");
  platform.Run(
      "INSERT INTO calls (id, agent_id, status) VALUES ('c', 'agent', 'completed'), ('d', 'mute', "
      "'completed')");
  platform.Run("INSERT INTO call_analysis (call_id, summary) VALUES ('c', 'fine')");
  platform.Run("UPDATE calls SET status = 'failed'");
  platform.Run("DELETE FROM calls");
  platform.Run("TRUNCATE calls CASCADE");
  EXPECT_EQ(Enqueued("c"), 1);
  EXPECT_EQ(Declined("d"), "no_url");
  for (const std::string denied :
       {"SELECT FROM webhook_outbox", "SELECT FROM webhook_enqueued", "SELECT FROM webhook_source",
        "SELECT FROM webhook_agents", "INSERT INTO webhook_outbox DEFAULT VALUES",
        "SELECT webhook_make_partitions(1)", "SELECT webhook_drop_partitions(0)",
        "SELECT webhook_close_hours()", "SELECT webhook_purge(1, 400)", "SELECT webhook_release_analysed()",
        "SELECT webhook_enqueue('c')", "SELECT webhook_ready('c')",
        "SELECT nextval('webhook_delivery_id_seq')"}) {
    EXPECT_EQ(platform.Refusal(denied), "42501") << denied;
  }
}

TEST_F(Enqueue, NoRoleCanMakeOurFunctionsUseATableOfItsOwn) {
  SharedPostgres().Execute(
      R"(DO $$ BEGIN CREATE ROLE platform LOGIN; EXCEPTION WHEN duplicate_object THEN END $$)");
  db_.Run("GRANT SELECT, INSERT ON agents, calls TO platform");
  db_.Run("CREATE SCHEMA platform AUTHORIZATION platform");
  Client platform(SharedPostgres().Url(db_.Value("SELECT current_database()"), "platform"));
  platform.Run("SET search_path = platform, public");
  platform.Run("CREATE TABLE webhook_outbox (LIKE public.calls)");
  platform.Run("CREATE TEMP TABLE webhook_enqueued (call_id text, agent_id text, enqueued_at timestamptz)");
  platform.Run("CREATE FUNCTION webhook_enqueue_wanted() RETURNS boolean LANGUAGE sql AS 'SELECT 1 / 0 = 1'");
  platform.Run("INSERT INTO public.calls (id, agent_id, status) VALUES ('c', 'agent', 'completed')");
  EXPECT_EQ(Enqueued("c"), 1);
  EXPECT_EQ(InLedger("c"), 1);
}

// A platform's own view may raise an error for a row. Then the delivery log shows it, and the platform's
// transaction does not fail.
TEST_F(Enqueue, AViewThatRaisesAnErrorFailsNoTransaction) {
  db_.Run(R"(INSERT INTO agents VALUES ('odd', 'Odd', '{"webhooks": {"postCall": "https://example.com"}}'))");
  db_.Run("ALTER VIEW webhook_agents RENAME TO whole_agents");
  db_.Run(R"(CREATE VIEW webhook_agents AS
             SELECT id, name, CASE WHEN id = 'odd' THEN id::jsonb ELSE settings END AS settings FROM whole_agents)");
  db_.Run("INSERT INTO calls VALUES ('c', 'odd', 'completed')");
  EXPECT_EQ(db_.Value("SELECT agent_id FROM webhook_outbox WHERE call_id = 'c'"), "odd");
  EXPECT_EQ(db_.Value("SELECT agent_id FROM webhook_enqueued WHERE call_id = 'c'"), "odd");
}

// The same during an import, when nothing is to be sent.
TEST_F(Enqueue, AViewThatRaisesAnErrorFailsNoTransactionWhileEnqueueingIsOff) {
  InsertCall("c", "in_progress");
  db_.Run("ALTER VIEW webhook_source RENAME TO whole_source");
  db_.Run(R"(CREATE VIEW webhook_source AS
             SELECT * FROM whole_source WHERE CASE WHEN call_id = 'c' THEN call_id::int = 1 ELSE true END)");
  db_.Run("SET postcall.enqueue = 'off'");
  db_.Run("SELECT webhook_enqueue('c')");
  EXPECT_EQ(Enqueued("c"), 0);
  EXPECT_EQ(db_.Value("SELECT reason FROM webhook_declined WHERE call_id = 'c'"), "switched_off");
}

TEST_F(Enqueue, AViewWhoseAssertFailsFailsNoTransaction) {
  db_.Run(R"(CREATE FUNCTION checked(call_id text) RETURNS text LANGUAGE plpgsql STABLE AS
             $$ BEGIN ASSERT call_id IS NULL, 'no calls allowed'; RETURN call_id; END $$)");
  db_.Run("ALTER VIEW webhook_source RENAME TO whole_source");
  db_.Run("CREATE VIEW webhook_source AS SELECT * FROM whole_source WHERE checked(call_id) = call_id");
  db_.Run("SET postcall.wait_for = 'analysis'");
  InsertCall("c", "completed");
  EXPECT_EQ(Enqueued("c"), 1);
  db_.Run("UPDATE webhook_outbox SET awaits_analysis = true");
  EXPECT_EQ(db_.Number("SELECT webhook_release_analysed()"), 1) << "there is nothing to wait for";
}

// When a table stays locked for longer than the platform waits, the call is enqueued all the same. The claim
// then reads whether there is a URL.
TEST_F(Enqueue, ATableThatIsLockedForAMomentLosesNoCall) {
  for (const std::string call : {"c", "quiet"}) InsertCall(call, "in_progress");
  db_.Run("UPDATE calls SET agent_id = 'mute' WHERE id = 'quiet'");
  Client other(url_);
  other.Run("BEGIN; LOCK TABLE agents, call_analysis IN ACCESS EXCLUSIVE MODE");
  db_.Run("SET lock_timeout = '50ms'");
  db_.Run("UPDATE calls SET status = 'completed'");
  EXPECT_EQ(
      db_.Value("SELECT string_agg(call_id || ' ' || agent_id, ', ' ORDER BY call_id) FROM webhook_outbox"),
      "c agent, quiet mute");
}

// The same for a platform that calls the function itself. The claim then reads the agent as well.
TEST_F(Enqueue, ACallWhoseAgentCannotBeReadForAMomentIsNotLost) {
  for (const std::string call : {"c", "gone", "quiet"}) InsertCall(call, "in_progress");
  db_.Run("UPDATE calls SET agent_id = 'mute' WHERE id = 'quiet'");
  Client other(url_);
  other.Run("BEGIN; LOCK TABLE call_analysis IN ACCESS EXCLUSIVE MODE");
  db_.Run("SET lock_timeout = '50ms'");
  db_.Run("SELECT webhook_enqueue(id) FROM calls");
  other.Run("COMMIT");
  db_.Run("DELETE FROM calls WHERE id = 'gone'");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_outbox WHERE agent_id = ''"), 3);

  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_find_agents(ARRAY(SELECT id FROM webhook_outbox))"), 2);
  EXPECT_EQ(
      db_.Value("SELECT string_agg(call_id || ' ' || agent_id, ', ' ORDER BY call_id) FROM webhook_outbox"),
      "c agent, gone , quiet mute");
}

// A restore that does not copy sequences sets the sequence back, or a person does.
TEST_F(Enqueue, ASequenceThatWasSetBackFailsNoTransaction) {
  db_.Run(R"(INSERT INTO webhook_outbox (id, call_id, agent_id, cause, enqueued_at, due_at)
             SELECT n, 'waiting-' || n, 'agent', 'completion', now(), now() FROM generate_series(1, 100000) n)");
  for (const std::string level : {"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}) {
    db_.Run("SELECT setval('webhook_delivery_id_seq', 1, false)");
    db_.Run("BEGIN ISOLATION LEVEL " + level);
    InsertCall(level, "completed");
    db_.Run("COMMIT");
    EXPECT_EQ(Enqueued(level), 1) << level;
  }
  db_.Run(R"(DO $$ BEGIN
               FOR n IN 1..500 LOOP
                 PERFORM setval('webhook_delivery_id_seq', 1, false);
                 INSERT INTO calls VALUES ('c' || n, 'agent', 'completed');
               END LOOP;
             END $$)");
  EXPECT_EQ(db_.Number("SELECT count(DISTINCT id) FROM webhook_outbox"), 100'503);
}

TEST_F(Enqueue, StricterIsolationLevelsWork) {
  for (const std::string level : {"REPEATABLE READ", "SERIALIZABLE"}) {
    db_.Run("SET postcall.wait_for = 'analysis'");
    db_.Run("BEGIN ISOLATION LEVEL " + level);
    InsertCall(level, "completed");
    db_.Run("INSERT INTO call_analysis (call_id, summary) VALUES (" + Quote(level) + ", 'fine')");
    db_.Run("COMMIT");
    EXPECT_EQ(Enqueued(level), 1) << level;
  }
}

}  // namespace
}  // namespace postcall::test
