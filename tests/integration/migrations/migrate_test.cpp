// `migrate` brings any database to the binary's version, and applies each migration once, even when several
// processes start it at the same time (CONTRACT §5).
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/integration/migrations/empty_database.h"
#include "tests/support/german_server.h"

namespace postcall::test {
namespace {

using store::Migrate;
using ::testing::HasSubstr;
using ::testing::Not;

class Migrations : public EmptyDatabase {};

TEST_F(Migrations, BringAnEmptyDatabaseToTheBinarysVersion) {
  EXPECT_THAT(Fault().value(), HasSubstr("run `postcall-dispatcher migrate`"));
  const auto migrated = Migrate(Options());
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_EQ(std::ssize(migrated->applied), Files());
  EXPECT_EQ(migrated->applied.front(), "0001_installation");
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
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_migrations"), Tables());
}

// This happens at each start of a service with --migrate, and no other transaction may have to wait for it.
TEST_F(Migrations, RunAgainLockNothingThatAPlatformOrADispatcherUses) {
  ASSERT_TRUE(Migrate(Options()));
  Client busy(url_);
  busy.Run(
      "BEGIN; LOCK TABLE agents, calls, call_analysis, webhook_outbox, webhook_deliveries IN ROW EXCLUSIVE "
      "MODE");
  busy.Run("SELECT count(*) FROM webhook_reconciliation; SELECT count(*) FROM webhook_failures");
  Client watcher(url_);
  watcher.Run("BEGIN; LOCK TABLE webhook_summary, webhook_decisions IN SHARE MODE");
  const auto again = Migrate(Options());
  ASSERT_TRUE(again) << again.error();
  EXPECT_TRUE(again->applied.empty());
}

TEST_F(Migrations, RefuseTablesFromBeforeTheFirstRelease) {
  db_.Run(
      "CREATE TABLE webhook_migrations (version int PRIMARY KEY, name text NOT NULL,"
      " applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), compatibility int NOT NULL)");
  db_.Run("INSERT INTO webhook_migrations VALUES (1, 'source_tables', now(), 1)");
  db_.Run("CREATE TABLE webhook_settings (key text PRIMARY KEY, value text NOT NULL)");
  const std::string sentence = store::kFaultOfUnreleased;
  EXPECT_THAT(sentence, HasSubstr("before the first release"));
  const auto migrated = Migrate(Options());
  ASSERT_FALSE(migrated);
  EXPECT_EQ(migrated.error(), sentence);
  EXPECT_EQ(Fault(), sentence);
  EXPECT_THROW(
      try { store::ReadDatabaseStatus(Options()); } catch (const postgres::Refused& refused) {
        EXPECT_EQ(refused.what(), sentence);
        throw;
      },
      postgres::Refused);
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
  EXPECT_EQ(applied, static_cast<std::size_t>(Files()));
  EXPECT_EQ(Fault(), std::nullopt);
}

TEST_F(Migrations, WorkWhenTheDatabasesDefaultIsAStricterIsolationLevel) {
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

TEST_F(Migrations, RefuseAnEncodingOtherThanUtf8) {
  SharedPostgres().Execute("CREATE DATABASE latin1 ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
  const auto migrated = Migrate({.url = SharedPostgres().Url("latin1"), .application_name = "test"});
  ASSERT_FALSE(migrated);
  EXPECT_THAT(migrated.error(), HasSubstr("encoding is LATIN1"));
}

TEST_F(Migrations, TellTheirStatus) {
  store::DatabaseStatus status = store::ReadDatabaseStatus(Options());
  EXPECT_EQ(status.schema, "");
  EXPECT_EQ(status.compatibility, 0);
  ASSERT_EQ(std::ssize(status.migrations), Tables());
  EXPECT_EQ(status.migrations[0].state, store::MigrationState::kPending);
  EXPECT_EQ(db_.Value("SELECT to_regclass('webhook_migrations')"), "") << "it changes nothing";

  ASSERT_TRUE(Migrate(Options()));
  db_.Run("INSERT INTO webhook_migrations VALUES (99, 'of_the_future', now(), 1)");
  db_.Run(
      "DELETE FROM webhook_migrations WHERE version = (SELECT max(version) FROM webhook_migrations WHERE "
      "version < 99)");
  status = store::ReadDatabaseStatus(Options());
  EXPECT_EQ(status.schema, "public");
  EXPECT_EQ(status.compatibility, migrations::kCompatibility);
  ASSERT_EQ(std::ssize(status.migrations), Tables() + 1);
  EXPECT_EQ(status.migrations[0].state, store::MigrationState::kApplied);
  EXPECT_FALSE(status.migrations[0].applied_at.empty());
  EXPECT_EQ(status.migrations[Tables() - 1].state, store::MigrationState::kPending);
  EXPECT_EQ(status.migrations[Tables()].state, store::MigrationState::kUnknown);
}

// This lock lasts longer than any other transaction of ours waits for a lock.
TEST_F(Migrations, TellTheirStatusWhenALockOfMoreThanThreeSecondsIsOver) {
  ASSERT_TRUE(Migrate(Options()));
  Client holder(url_);
  holder.Run("BEGIN; LOCK TABLE webhook_migrations");
  std::atomic<bool> done{false};
  std::string error;
  std::thread reading([&] {
    try {
      store::ReadDatabaseStatus(Options());
    } catch (const postgres::DatabaseError& thrown) {
      error = thrown.what();
    }
    done = true;
  });
  constexpr const char* kWaitsForLong =
      "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = "
      "'Lock' AND clock_timestamp() - query_start > interval '3500 milliseconds')";
  while (!done && !db_.True(kWaitsForLong)) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(done);
  holder.Run("COMMIT");
  reading.join();
  EXPECT_EQ(error, "");
}

TEST_F(Migrations, RefuseADatabaseThatNeedsANewerBinary) {
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

TEST_F(Migrations, AcceptANewerDatabaseThatIsCompatibleWithOlderBinaries) {
  ASSERT_TRUE(Migrate(Options()));
  db_.Run("INSERT INTO webhook_migrations VALUES (99, 'of_the_future', now(), 1)");
  EXPECT_TRUE(Migrate(Options()));
  EXPECT_EQ(Fault(), std::nullopt);
}

TEST_F(Migrations, SayWhatTheDatabaseLacks) {
  ASSERT_TRUE(Migrate(Options()));
  db_.Run("DELETE FROM webhook_migrations WHERE version = 5");
  EXPECT_THAT(Fault().value(), HasSubstr("lacks the migration decisions"));
}

// --- Schemas, roles, and objects that existed before.

TEST_F(Migrations, SayWhenEveryRoleMayCreateObjectsInTheirSchema) {
  EXPECT_EQ(Migrate(Options())->closes_schema, std::nullopt);
  db_.Run("GRANT CREATE ON SCHEMA public TO PUBLIC");
  EXPECT_EQ(Migrate(Options())->closes_schema, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
}

TEST_F(Migrations, UseTheSchemaThatTheRolesSearchPathNames) {
  MakeRole("app_owner", "app, public");
  db_.Run("CREATE SCHEMA app AUTHORIZATION app_owner");
  const auto migrated = Migrate(OptionsOf("app_owner"));
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_EQ(migrated->schema, "app");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), 0);

  // The functions also work for a role whose search path does not include that schema.
  db_.Run("SET search_path = pg_catalog");
  db_.Run(R"(INSERT INTO app.agents VALUES ('agent', 'A', '{"webhooks": {"postCall": "https://x"}}'))");
  db_.Run("INSERT INTO app.calls VALUES ('c', 'agent', 'completed')");
  db_.Run("SELECT app.webhook_enqueue('c'), app.webhook_close_hours(), app.webhook_make_partitions(8)");
  EXPECT_EQ(db_.Number("SELECT waiting FROM app.webhook_reconciliation"), 1);
  EXPECT_EQ(db_.Value("SELECT app.webhook_make_partitions(9)"), "9");
}

TEST_F(Migrations, OfARoleWithASchemaOfItsOwnFindTheTablesThatAnotherRoleInstalled) {
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

TEST_F(Migrations, SayInOneSentenceWhichTableDoesNotFit) {
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

TEST_F(Migrations, SayWhenTheRoleHasNoRightToMigrate) {
  SharedPostgres().Execute(
      "DO $$ BEGIN CREATE ROLE no_special_rights LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
  db_.Run("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
  const auto migrated = Migrate(OptionsOf("no_special_rights"));
  ASSERT_FALSE(migrated);
  EXPECT_THAT(migrated.error(), HasSubstr("permission denied"));
  MakeRole("nowhere", "no_such_schema");
  EXPECT_THAT(Migrate(OptionsOf("nowhere")).error(), HasSubstr("search_path"));
}

TEST_F(Migrations, AreRepeatedAfterADeadlock) {
  db_.Run(R"(
      CREATE SEQUENCE tables;
      CREATE SEQUENCE views;
      CREATE FUNCTION get_stuck() RETURNS event_trigger LANGUAGE plpgsql AS $$
      BEGIN
        -- Fails at the first table of the first two attempts, and later at the last view.
        IF (tg_tag = 'CREATE TABLE' AND nextval('tables') IN (1, 5))
           OR (tg_tag = 'CREATE VIEW' AND nextval('views') = 10) THEN
          RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01';
        END IF;
      END $$;
      CREATE EVENT TRIGGER stuck ON ddl_command_start EXECUTE FUNCTION get_stuck())");
  const auto migrated = Migrate(Options());
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_EQ(std::ssize(migrated->applied), Files());
}

// A long wait of one migration must not use up the patience of the next.
TEST_F(Migrations, AreEachTriedAsOften) {
  db_.Run(R"(
      CREATE SEQUENCE first;
      CREATE SEQUENCE second;
      CREATE FUNCTION get_stuck() RETURNS event_trigger LANGUAGE plpgsql AS $$
      DECLARE
        is_stuck boolean := false;
      BEGIN
        -- At the first table of the first and of the second transaction.
        IF to_regclass('webhook_migrations') IS NULL THEN
          is_stuck := nextval('first') = 1;
        ELSIF to_regclass('call_analysis') IS NOT NULL THEN
          is_stuck := nextval('second') = 1;
        END IF;
        IF is_stuck THEN
          RAISE EXCEPTION 'another holds a lock' USING ERRCODE = '55P03';
        END IF;
      END $$;
      CREATE EVENT TRIGGER stuck ON ddl_command_start WHEN tag IN ('CREATE TABLE') EXECUTE FUNCTION get_stuck())");
  const auto migrated = Migrate(Options(), {.most_attempts = 2});
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_EQ(std::ssize(migrated->applied), Files());
  EXPECT_TRUE(db_.True("SELECT second.is_called FROM second"));
}

TEST_F(Migrations, EndWhenALockIsNeverReleased) {
  db_.Run(
      "CREATE TABLE calls (id text PRIMARY KEY, agent_id text, status text, recording_uri text, "
      "transcript_uri text)");
  Client holder(url_);
  holder.Run("BEGIN; LOCK TABLE calls");
  const auto migrated = Migrate(Options(), {.most_attempts = 2});
  ASSERT_FALSE(migrated);
  EXPECT_THAT(migrated.error(), HasSubstr("a table stayed locked by other transactions"));
}

TEST_F(Migrations, WaitForAPlatformsTransactionWithoutDelayingItsOthers) {
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
  // While the migration waits for the slow transaction, other transactions succeed.
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

TEST_F(GermanServer, RefusesAMigrationWithoutTheSeverity) {
  server_->Execute("CREATE TABLE calls (id text PRIMARY KEY)");
  const auto migrated = Migrate({.url = server_->Url(), .application_name = "german"});
  ASSERT_FALSE(migrated);
  EXPECT_THAT(migrated.error(), Not(HasSubstr("FEHLER")));
  EXPECT_THAT(migrated.error(), HasSubstr("migration 0002_source_tables: "));
}

}  // namespace
}  // namespace postcall::test
