// `migrate`: brings any database to the binary's version, once, whoever else tries at the same time
// (CONTRACT §5).
#include "dispatcher/store/migrate.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "dispatcher/store/database_fit.h"
#include "migrations/migrations.h"
#include "tests/integration/store/client.h"
#include "tests/support/private_postgres.h"

namespace postcall::test {
namespace {

using store::Migrate;
using ::testing::HasSubstr;

class Migrations : public ::testing::Test {
 protected:
  static constexpr int kCount = 9;

  store::DatabaseOptions Options() const { return {.url = url_, .application_name = "test"}; }
  // With the rights and the search path of another role.
  store::DatabaseOptions OptionsOf(const std::string& role) {
    return {.url = SharedPostgres().Url(db_.Value("SELECT current_database()"), role),
            .application_name = "test"};
  }
  std::optional<std::string> Fault() const {
    store::Session session(Options());
    return store::FaultOfDatabase(session);
  }
  // A role that may log in and make schemas here, with a fresh search path.
  void MakeRole(const std::string& role, const std::string& search_path) {
    SharedPostgres().Execute("DO $$ BEGIN CREATE ROLE " + role +
                             " LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
    const std::string database = db_.Value("SELECT current_database()");
    db_.Run("GRANT CREATE ON DATABASE " + database + " TO " + role);
    db_.Run("ALTER ROLE " + role + " IN DATABASE " + database + " SET search_path = " + search_path);
  }

  const std::string url_ = SharedPostgres().CreateDatabase();
  Client db_{url_};
};

TEST_F(Migrations, BringAnEmptyDatabaseToTheBinarysVersion) {
  EXPECT_THAT(Fault().value(), HasSubstr("run `postcall-dispatcher migrate`"));
  const auto migrated = Migrate(Options());
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_EQ(migrated->applied.size(), kCount);
  EXPECT_EQ(migrated->applied.front(), "0001_source_tables");
  EXPECT_EQ(migrated->schema, "public");
  EXPECT_FALSE(migrated->own_tables);
  EXPECT_EQ(migrated->days_ahead, 7);
  EXPECT_EQ(Fault(), std::nullopt);
}

TEST_F(Migrations, DoNothingTheSecondTime) {
  ASSERT_TRUE(Migrate(Options()));
  const auto again = Migrate(Options());
  ASSERT_TRUE(again) << again.error();
  EXPECT_TRUE(again->applied.empty());
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_migrations"), kCount);
}

TEST_F(Migrations, AreAppliedOnceWhenManyStartAtOnce) {
  std::atomic<std::size_t> applied{0};
  std::atomic<int> failed{0};
  std::vector<std::thread> starters;
  for (int i = 0; i < 8; ++i) {
    starters.emplace_back([&] {
      const auto migrated = Migrate(Options());
      if (migrated) {
        applied += migrated->applied.size();
      } else {
        ++failed;
      }
    });
  }
  for (std::thread& starter : starters) starter.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(applied, static_cast<std::size_t>(kCount));
  EXPECT_EQ(Fault(), std::nullopt);
}

TEST_F(Migrations, WorkWhenTheDatabaseDefaultsToAStricterIsolation) {
  db_.Run(
      "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', "
      "current_database()); END $$");
  std::atomic<int> failed{0};
  std::vector<std::thread> starters;
  for (int i = 0; i < 4; ++i) {
    starters.emplace_back([&] {
      if (!Migrate(Options())) ++failed;
    });
  }
  for (std::thread& starter : starters) starter.join();
  EXPECT_EQ(failed, 0);
}

TEST_F(Migrations, RefuseAnEncodingThatPayloadsDoNotHave) {
  SharedPostgres().Execute("CREATE DATABASE latin1 ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
  const auto migrated = Migrate({.url = SharedPostgres().Url("latin1"), .application_name = "test"});
  ASSERT_FALSE(migrated);
  EXPECT_THAT(migrated.error(), HasSubstr("encoding is LATIN1"));
}

TEST_F(Migrations, TellTheirStatus) {
  store::DatabaseStatus status = store::ReadDatabaseStatus(Options());
  EXPECT_EQ(status.schema, "");
  EXPECT_EQ(status.compatibility, 0);
  ASSERT_EQ(status.migrations.size(), kCount);
  EXPECT_EQ(status.migrations[0].state, store::MigrationState::kPending);
  EXPECT_EQ(db_.Value("SELECT to_regclass('webhook_migrations')"), "") << "it only looks";

  ASSERT_TRUE(Migrate(Options()));
  db_.Run("INSERT INTO webhook_migrations VALUES (99, 'of_the_future', now(), 1)");
  db_.Run("DELETE FROM webhook_migrations WHERE version = " + std::to_string(kCount));
  status = store::ReadDatabaseStatus(Options());
  EXPECT_EQ(status.schema, "public");
  EXPECT_EQ(status.compatibility, migrations::kCompatibility);
  ASSERT_EQ(status.migrations.size(), kCount + 1);
  EXPECT_EQ(status.migrations[0].state, store::MigrationState::kApplied);
  EXPECT_FALSE(status.migrations[0].applied_at.empty());
  EXPECT_EQ(status.migrations[kCount - 1].state, store::MigrationState::kPending);
  EXPECT_EQ(status.migrations[kCount].state, store::MigrationState::kUnknown);
}

TEST_F(Migrations, RefuseADatabaseThatDemandsANewerBinary) {
  ASSERT_TRUE(Migrate(Options()));
  db_.Run("INSERT INTO webhook_migrations VALUES (99, 'of_the_future', now(), 2)");
  try {
    Migrate(Options());
    FAIL();
  } catch (const store::NeedsNewerBinary& refusal) {
    EXPECT_THAT(refusal.what(), HasSubstr("compatibility number 2"));
    EXPECT_EQ(Fault(), refusal.what());
  }
}

TEST_F(Migrations, AcceptANewerDatabaseThatOlderBinariesCanLiveWith) {
  ASSERT_TRUE(Migrate(Options()));
  db_.Run("INSERT INTO webhook_migrations VALUES (99, 'of_the_future', now(), 1)");
  EXPECT_TRUE(Migrate(Options()));
  EXPECT_EQ(Fault(), std::nullopt);
}

TEST_F(Migrations, TellWhatTheDatabaseLacks) {
  ASSERT_TRUE(Migrate(Options()));
  db_.Run("DELETE FROM webhook_migrations WHERE version = 5");
  EXPECT_THAT(Fault().value(), HasSubstr("lacks the migration reports"));
}

// --- Schemas, roles and what was there before.

TEST_F(Migrations, TellWhenEverybodyMayMakeObjectsInTheirSchema) {
  EXPECT_EQ(Migrate(Options())->closes_schema, std::nullopt);
  db_.Run("GRANT CREATE ON SCHEMA public TO PUBLIC");
  EXPECT_EQ(Migrate(Options())->closes_schema, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
}

TEST_F(Migrations, GoToTheSchemaThatTheRolesSearchPathNames) {
  MakeRole("app_owner", "app, public");
  db_.Run("CREATE SCHEMA app AUTHORIZATION app_owner");
  const auto migrated = Migrate(OptionsOf("app_owner"));
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_EQ(migrated->schema, "app");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);

  // Its functions work for somebody whose search path has nothing of it.
  db_.Run("SET search_path = pg_catalog");
  db_.Run(R"(INSERT INTO app.agents VALUES ('agent', 'A', '{"webhooks": {"postCall": "https://x"}}'))");
  db_.Run("INSERT INTO app.calls VALUES ('c', 'agent', 'completed')");
  db_.Run("SELECT app.webhook_enqueue('c'), app.webhook_close_hours(), app.webhook_make_partitions(8)");
  EXPECT_EQ(db_.Number("SELECT waiting FROM app.webhook_reconciliation"), 1);
  EXPECT_EQ(db_.Value("SELECT app.webhook_make_partitions(9)"), "9");
}

TEST_F(Migrations, OfARoleWithASchemaOfItsOwnFindWhatAnotherRoleInstalled) {
  ASSERT_TRUE(Migrate(Options()));
  MakeRole("svc", "\"$user\", public");
  db_.Run("CREATE SCHEMA svc AUTHORIZATION svc");
  db_.Run("GRANT ALL ON ALL TABLES IN SCHEMA public TO svc; GRANT CREATE ON SCHEMA public TO svc");
  db_.Run("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO svc");
  const auto migrated = Migrate(OptionsOf("svc"));
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_TRUE(migrated->applied.empty());
  EXPECT_EQ(migrated->schema, "public");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM pg_tables WHERE schemaname = 'svc'"), 0);
}

TEST_F(Migrations, UseThePlatformsTablesWhereverTheSearchPathFindsThem) {
  ASSERT_TRUE(Migrate({.url = SharedPostgres().CreateDatabase(), .application_name = ""}));
  db_.Run("CREATE TABLE agents (id varchar(40) PRIMARY KEY, name text, settings jsonb NOT NULL, more int)");
  db_.Run("CREATE TYPE call_status AS ENUM ('queued', 'in_progress', 'completed', 'failed', 'canceled')");
  db_.Run(
      "CREATE TABLE calls (more int, id varchar(40) PRIMARY KEY, agent_id varchar(40), status call_status,"
      " recording_uri text, transcript_uri text)");
  db_.Run("CREATE SCHEMA hooks");
  db_.Run(
      "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = hooks, public', current_database()); "
      "END $$");
  const auto migrated = Migrate(Options());
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_EQ(migrated->schema, "hooks");
  EXPECT_EQ(db_.Value("SELECT to_regclass('hooks.calls')"), "");
  db_.Run(R"(INSERT INTO agents VALUES ('agent', 'A', '{"webhooks": {"postCall": "https://x"}}'))");
  db_.Run("INSERT INTO calls (id, agent_id, status) VALUES ('c', 'agent', 'in_progress')");
  db_.Run("UPDATE calls SET status = 'completed'");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM hooks.webhook_outbox"), 1);
}

TEST_F(Migrations, TellInOneSentenceWhichTableDoesNotFit) {
  const std::pair<std::string, std::string> misfits[] = {
      {"CREATE TABLE agents (id text PRIMARY KEY, name text)", "table agents lacks the column settings"},
      {"CREATE TABLE agents (id text PRIMARY KEY, name text, settings json)",
       "column settings of table agents has the type json where jsonb is needed"},
      {"CREATE TABLE agents (id uuid PRIMARY KEY, name text, settings jsonb)",
       "column id of table agents has the type uuid where text is needed"},
      {"CREATE TABLE agents (id text, name text, settings jsonb)", "column id of table agents is not unique"},
      {"CREATE VIEW agents AS SELECT ''::text AS id, ''::text AS name, '{}'::jsonb AS settings",
       "agents is not a table: use --own-tables and define the views"},
  };
  for (const auto& [made, sentence] : misfits) {
    db_.Run(made);
    const auto migrated = Migrate(Options());
    ASSERT_FALSE(migrated) << made;
    EXPECT_THAT(migrated.error(), HasSubstr(sentence));
    EXPECT_EQ(migrated.error().find('\n'), std::string::npos);
    db_.Run("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
  }
}

TEST_F(Migrations, TellWhenTheRoleMayNot) {
  SharedPostgres().Execute(
      "DO $$ BEGIN CREATE ROLE nobody_special LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
  db_.Run("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
  const auto migrated = Migrate(OptionsOf("nobody_special"));
  ASSERT_FALSE(migrated);
  EXPECT_THAT(migrated.error(), HasSubstr("permission denied"));
  MakeRole("nowhere", "no_such_schema");
  EXPECT_THAT(Migrate(OptionsOf("nowhere")).error(), HasSubstr("search_path"));
}

TEST_F(Migrations, WaitForThePlatformsTransactionsWithoutHoldingUpItsOthers) {
  db_.Run("CREATE TABLE agents (id text PRIMARY KEY, name text, settings jsonb NOT NULL)");
  db_.Run(
      "CREATE TABLE calls (id text PRIMARY KEY, agent_id text, status text, recording_uri text, "
      "transcript_uri text)");
  Client slow(url_);
  slow.Run("BEGIN; INSERT INTO calls VALUES ('slow', 'agent', 'queued')");
  std::atomic<bool> done{false};
  std::string error;
  std::thread migrating([&] {
    const auto migrated = Migrate(Options());
    if (!migrated) error = migrated.error();
    done = true;
  });
  // While it waits for the slow one, others get through.
  Client writer(url_);
  writer.Run("SET lock_timeout = '5s'");
  int waits = 0;
  std::string refusal;
  for (int n = 0; waits < 3 && !done && refusal.empty(); ++n) {
    refusal = writer.Refusal("INSERT INTO calls VALUES ('n" + std::to_string(n) + "', 'agent', 'queued')");
    waits += db_.Number("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'calls'::regclass");
  }
  EXPECT_FALSE(done);
  EXPECT_EQ(refusal, "");
  slow.Run("COMMIT");
  migrating.join();
  EXPECT_EQ(error, "");
}

// --- One's own tables.

class OwnTables : public Migrations {
 protected:
  static constexpr const char* kAgentsView = R"(
    CREATE VIEW webhook_agents AS SELECT key AS id, title AS name, config AS settings FROM bots)";
  static constexpr const char* kSourceView = R"(
    CREATE VIEW webhook_source AS
    SELECT sid AS call_id, bot AS agent_id, NULL::text AS recording_uri, NULL::text AS transcript_uri, who AS name,
           NULL::text AS phone_number, NULL::text AS email, NULL::text AS scheduled_time, NULL::text AS address,
           NULL::text AS pincode, NULL::text AS city, NULL::text AS state, NULL::text AS country, NULL::text AS age,
           NULL::text AS gender, NULL::text AS occupation, NULL::text AS company,
           NULL::text AS preferred_contact_method, NULL::text AS best_time_to_call, NULL::text AS language,
           notes AS summary, NULL::text AS mood, NULL::numeric AS score, NULL::text AS call_outcome,
           NULL::text AS classification, NULL::jsonb AS interests_and_needs, NULL::jsonb AS action_items,
           NULL::jsonb AS sentiment, done AS completed
      FROM sessions)";

  OwnTables() {
    db_.Run("CREATE TABLE bots (key text PRIMARY KEY, title text, config jsonb)");
    db_.Run("CREATE TABLE sessions (sid text PRIMARY KEY, bot text, who text, notes text, done boolean)");
    db_.Run(
        R"(INSERT INTO bots VALUES ('bot', 'Bot', '{"webhooks": {"postCall": "https://x"}}'), ('plain', NULL, NULL))");
  }

  auto MigrateOwn() { return Migrate(Options(), {.own_tables = true}); }
};

TEST_F(OwnTables, NeedTheTwoViewsFirst) {
  const auto without = MigrateOwn();
  ASSERT_FALSE(without);
  EXPECT_THAT(without.error(), HasSubstr("there is no view webhook_"));
  EXPECT_EQ(db_.Value("SELECT to_regclass('webhook_migrations')"), "") << "nothing is left behind";
  db_.Run("CREATE VIEW webhook_source AS SELECT sid AS call_id, bot AS agent_id FROM sessions");
  db_.Run(kAgentsView);
  EXPECT_THAT(MigrateOwn().error(), HasSubstr("the view webhook_source lacks the column"));
  db_.Run(
      "DROP VIEW webhook_agents; CREATE VIEW webhook_agents AS SELECT key AS id, title AS name, config::json "
      "AS settings FROM bots");
  db_.Run("DROP VIEW webhook_source");
  db_.Run(kSourceView);
  EXPECT_THAT(
      MigrateOwn().error(),
      HasSubstr("the column settings of the view webhook_agents has the type json where jsonb is needed"));
}

TEST_F(OwnTables, GetNoTablesAndNoTriggersOfOurs) {
  db_.Run(kSourceView);
  db_.Run(kAgentsView);
  const auto migrated = MigrateOwn();
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_TRUE(migrated->own_tables);
  EXPECT_EQ(migrated->applied.size(), kCount - 2);
  for (const std::string table : {"agents", "calls", "caller_details", "call_analysis"}) {
    EXPECT_EQ(db_.Value("SELECT to_regclass('" + table + "')"), "") << table;
  }
  EXPECT_EQ(db_.Number("SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
                       " WHERE NOT tgisinternal AND c.relname NOT LIKE 'webhook%'"),
            0);
  EXPECT_EQ(Fault(), std::nullopt);
  EXPECT_EQ(store::ReadDatabaseStatus(Options()).migrations[0].state, store::MigrationState::kSkipped);
}

TEST_F(OwnTables, EnqueueByTheTwoFunctions) {
  db_.Run(kSourceView);
  db_.Run(kAgentsView);
  ASSERT_TRUE(MigrateOwn());
  db_.Run("SET postcall.analysis_wait = '1 hour'");
  db_.Run(
      "INSERT INTO sessions VALUES ('s', 'bot', 'John', NULL, true), ('p', 'plain', NULL, NULL, true), ('o', "
      "'nobody', NULL, NULL, true)");
  for (const std::string function : {"webhook_enqueue(text)", "webhook_analysis_ready(text)"}) {
    EXPECT_TRUE(db_.True("SELECT has_function_privilege('public', '" + function + "', 'EXECUTE')"))
        << "open to everybody, for the platform calls it";
  }
  db_.Run("SELECT webhook_enqueue(sid) FROM sessions");
  db_.Run("SELECT webhook_enqueue(sid) FROM sessions");
  EXPECT_EQ(db_.Value("SELECT string_agg(call_id || ' ' || awaits_analysis, ',') FROM webhook_outbox"),
            "s true");
  EXPECT_EQ(db_.Value("SELECT string_agg(call_id, ',' ORDER BY call_id) FROM webhook_declined"), "o,p");
  db_.Run("BEGIN; UPDATE sessions SET notes = 'fine'; SELECT webhook_analysis_ready('s'); COMMIT");
  EXPECT_EQ(db_.Number("SELECT webhook_release_hinted()"), 1);
  EXPECT_FALSE(db_.True("SELECT awaits_analysis FROM webhook_outbox"));
}

TEST_F(OwnTables, AreRemembered) {
  db_.Run(kSourceView);
  db_.Run(kAgentsView);
  ASSERT_TRUE(MigrateOwn());
  const std::string view = db_.Value("SELECT pg_get_viewdef('webhook_source')");
  const auto again = Migrate(Options());
  ASSERT_TRUE(again) << again.error();
  EXPECT_TRUE(again->own_tables);
  EXPECT_TRUE(again->applied.empty());
  EXPECT_EQ(db_.Value("SELECT pg_get_viewdef('webhook_source')"), view);
}

TEST_F(OwnTables, CannotBeHadAfterwards) {
  ASSERT_TRUE(Migrate(Options()));
  const auto own = MigrateOwn();
  ASSERT_FALSE(own);
  EXPECT_THAT(own.error(), HasSubstr("--own-tables comes too late"));
}

TEST_F(OwnTables, AreVerifiedAtEveryStart) {
  db_.Run(kSourceView);
  db_.Run(kAgentsView);
  ASSERT_TRUE(MigrateOwn());
  db_.Run("DROP VIEW webhook_source");
  EXPECT_THAT(Fault().value(), HasSubstr("there is no view webhook_source"));
  db_.Run("CREATE VIEW webhook_source AS SELECT sid AS call_id FROM sessions");
  EXPECT_THAT(Fault().value(), HasSubstr("lacks the column"));
  EXPECT_FALSE(Migrate(Options()));
}

TEST_F(OwnTables, AnExistingViewIsNeverReplaced) {
  db_.Run(kSourceView);
  const std::string view = db_.Value("SELECT pg_get_viewdef('webhook_source')");
  const auto migrated = Migrate(Options());  // with our tables, yet with that view
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_EQ(db_.Value("SELECT pg_get_viewdef('webhook_source')"), view);
}

}  // namespace
}  // namespace postcall::test
