// No value, view, lock or isolation level makes the platform's own transaction fail, and the platform needs
// no rights on our tables (CONTRACT §3, "Enqueueing").
#include "tests/integration/migrations/platform_database.h"

namespace postcall::test {
namespace {

class PlatformTransaction : public PlatformDatabase {};

TEST_F(PlatformTransaction, NoSettingsMakeThePlatformFail) {
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

TEST_F(PlatformTransaction, NoIdMakesThePlatformFail) {
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

TEST_F(PlatformTransaction, AnIdOfNoCallIsIgnored) {
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

TEST_F(PlatformTransaction, ThePlatformNeedsNoRightsOnOurTables) {
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

TEST_F(PlatformTransaction, NoRoleCanMakeOurFunctionsUseATableOfItsOwn) {
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
TEST_F(PlatformTransaction, AViewThatRaisesAnErrorFailsNoTransaction) {
  db_.Run(R"(INSERT INTO agents VALUES ('odd', 'Odd', '{"webhooks": {"postCall": "https://example.com"}}'))");
  db_.Run("ALTER VIEW webhook_agents RENAME TO whole_agents");
  db_.Run(R"(CREATE VIEW webhook_agents AS
             SELECT id, name, CASE WHEN id = 'odd' THEN id::jsonb ELSE settings END AS settings FROM whole_agents)");
  db_.Run("INSERT INTO calls VALUES ('c', 'odd', 'completed')");
  EXPECT_EQ(db_.Value("SELECT agent_id FROM webhook_outbox WHERE call_id = 'c'"), "odd");
  EXPECT_EQ(db_.Value("SELECT agent_id FROM webhook_enqueued WHERE call_id = 'c'"), "odd");
}

// The same during an import, when nothing is to be sent.
TEST_F(PlatformTransaction, AViewThatRaisesAnErrorFailsNoTransactionWhileEnqueueingIsOff) {
  InsertCall("c", "in_progress");
  db_.Run("ALTER VIEW webhook_source RENAME TO whole_source");
  db_.Run(R"(CREATE VIEW webhook_source AS
             SELECT * FROM whole_source WHERE CASE WHEN call_id = 'c' THEN call_id::int = 1 ELSE true END)");
  db_.Run("SET postcall.enqueue = 'off'");
  db_.Run("SELECT webhook_enqueue('c')");
  EXPECT_EQ(Enqueued("c"), 0);
  EXPECT_EQ(db_.Value("SELECT reason FROM webhook_declined WHERE call_id = 'c'"), "switched_off");
}

TEST_F(PlatformTransaction, AViewWhoseAssertFailsFailsNoTransaction) {
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
TEST_F(PlatformTransaction, ATableThatIsLockedForAMomentLosesNoCall) {
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
TEST_F(PlatformTransaction, ACallWhoseAgentCannotBeReadForAMomentIsNotLost) {
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
TEST_F(PlatformTransaction, ASequenceThatWasSetBackFailsNoTransaction) {
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

TEST_F(PlatformTransaction, StricterIsolationLevelsWork) {
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
