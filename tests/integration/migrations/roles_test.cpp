// The roles for dispatchers and readers, which the migration makes, and their rights (deploy/SECURITY.md).
#include <gmock/gmock.h>

#include <atomic>
#include <thread>
#include <vector>

#include "dispatcher/store/database_fit.h"
#include "dispatcher/store/migrate.h"
#include "tests/integration/migrations/log_database.h"

namespace postcall::test {
namespace {

using store::Migrate;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kDenied = "42501";

// Makes a login role in this cluster that is a member of `group` only.
void MakeLogin(const std::string& role, const std::string& group) {
  SharedPostgres().Execute("DO $$ BEGIN CREATE ROLE " + role + " LOGIN IN ROLE " + group +
                           "; EXCEPTION WHEN duplicate_object THEN END $$");
}

class Roles : public LogDatabase {
 protected:
  Roles() {
    MakeLogin("some_dispatcher", "postcall_service");
    MakeLogin("some_reader", "postcall_reader");
  }

  std::string Database() { return db_.Value("SELECT current_database()"); }
  Client As(const std::string& role) { return Client(SharedPostgres().Url(Database(), role)); }

  // Returns the role's rights on whole tables and views of this database: "SELECT webhook_outbox, …".
  std::string TablesOf(const std::string& role) {
    return db_.Value(R"(SELECT string_agg(p || ' ' || c.relname, ', ' ORDER BY p, c.relname)
                          FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES',
                                                        'TRIGGER']) p
                         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
                           AND has_table_privilege()" +
                     Quote(role) + ", c.oid, p)");
  }
  // Returns the role's rights on some columns of a table, but not on all: "INSERT webhook_outbox id, …".
  std::string ColumnsOf(const std::string& role) {
    return db_.Value(R"(SELECT string_agg(line, '; ' ORDER BY line)
                          FROM (SELECT p || ' ' || c.relname || ' ' || string_agg(a.attname, ' ' ORDER BY a.attnum) AS line
                                  FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) p, pg_attribute a
                                 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
                                   AND a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                   AND NOT has_table_privilege()" +
                     Quote(role) + R"(, c.oid, p)
                                   AND has_column_privilege()" +
                     Quote(role) + R"(, c.oid, a.attnum, p)
                                 GROUP BY p, c.relname) l)");
  }
  std::string FunctionsOf(const std::string& role) {
    return db_.Value(R"(SELECT string_agg(proname, ' ' ORDER BY proname) FROM pg_proc
                         WHERE pronamespace = 'public'::regnamespace AND has_function_privilege()" +
                     Quote(role) + ", oid, 'EXECUTE')");
  }
};

TEST_F(Roles, CannotLogInThemselves) {
  EXPECT_EQ(
      db_.Value(
          R"(SELECT string_agg(rolname || ' ' || rolcanlogin || ' ' || rolsuper || ' ' || rolcreaterole, ', '
                                           ORDER BY rolname)
                           FROM pg_roles WHERE rolname LIKE 'postcall%')"),
      "postcall_reader false false false, postcall_service false false false");
}

TEST_F(Roles, OfTheServiceMayDoExactlyWhatItsStatementsNeed) {
  EXPECT_EQ(
      TablesOf("some_dispatcher"),
      "DELETE webhook_claims, DELETE webhook_deliveries, DELETE webhook_dispatchers, DELETE webhook_outbox, "
      "DELETE webhook_summary, INSERT webhook_claims, "
      "SELECT webhook_agents, SELECT webhook_analysis_hints, SELECT webhook_claims, SELECT "
      "webhook_definitions, SELECT webhook_deliveries, "
      "SELECT "
      "webhook_dispatchers, SELECT webhook_migrations, "
      "SELECT webhook_outbox, SELECT webhook_recent, SELECT webhook_reconciliation, SELECT webhook_settings, "
      "SELECT webhook_source, "
      "SELECT webhook_summary");
  EXPECT_EQ(
      ColumnsOf("some_dispatcher"),
      "INSERT webhook_deliveries id call_id agent_id cause url outcome reached error enqueued_at due_at "
      "claimed_at finished_at dispatcher claim_id; "
      "INSERT webhook_dispatchers id instance started_at heartbeat_at; "
      "INSERT webhook_outbox call_id agent_id cause enqueued_at due_at requeues; "
      "UPDATE webhook_deliveries outcome reached http_status error response_body response_truncated "
      "remote_address connection_reused certificate_ends_at request_bytes response_bytes finished_at "
      "lookup_ms "
      "connect_ms tls_ms first_byte_ms total_ms; "
      "UPDATE webhook_dispatchers heartbeat_at heartbeats; "
      "UPDATE webhook_outbox id due_at requeues awaits_analysis unread");
  EXPECT_EQ(FunctionsOf("some_dispatcher"),
            "webhook_close_hours webhook_drop_partitions webhook_find_agents webhook_make_partitions "
            "webhook_purge webhook_release_analysed "
            "webhook_release_hinted");
}

TEST_F(Roles, OfReadersMayReadTheLogAndTheReportsAndNothingElse) {
  EXPECT_EQ(TablesOf("some_reader"),
            "SELECT webhook_agent_health, SELECT webhook_certificates, SELECT webhook_claims, "
            "SELECT webhook_decisions, "
            "SELECT webhook_declined, SELECT webhook_definitions, SELECT webhook_deliveries, "
            "SELECT webhook_dispatchers, SELECT webhook_enqueued, SELECT webhook_failures, SELECT "
            "webhook_migrations, "
            "SELECT webhook_open_hours, SELECT webhook_outbox, SELECT webhook_partitions, "
            "SELECT webhook_recent, SELECT webhook_reconciliation, SELECT webhook_settings, "
            "SELECT webhook_summary");
  EXPECT_EQ(ColumnsOf("some_reader"), "");
  EXPECT_EQ(FunctionsOf("some_reader"), "");
  SharedPostgres().Execute(
      "DO $$ BEGIN CREATE ROLE platform_app LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
  db_.Run("GRANT INSERT, SELECT ON agents, calls TO platform_app");
  As("platform_app").Run("INSERT INTO calls (id, agent_id, status) VALUES ('c', 'agent', 'completed')");
  EXPECT_EQ(Enqueued("c"), 1) << "the triggers work without rights of the platform's role";
}

TEST_F(Roles, OfReadersSeeTheReportsWithoutSecretsAndCallers) {
  InsertCall("c", "completed");
  db_.Run("INSERT INTO caller_details (call_id, name) VALUES ('c', 'John')");
  Claim("c", "interval '0'");
  Finish("c", "rejected");
  Client reader = As("some_reader");
  EXPECT_EQ(reader.Value("SELECT agent_name FROM webhook_failures"), "Agent");
  EXPECT_EQ(reader.Value("SELECT agent_name FROM webhook_agent_health"), "Agent");
  EXPECT_EQ(reader.Value("SELECT rejected || ' ' || unaccounted FROM webhook_reconciliation"), "1 0");
  EXPECT_EQ(reader.Value("SELECT outcome FROM webhook_deliveries"), "rejected");
  EXPECT_EQ(reader.Number("SELECT count(*) FROM webhook_partitions"), 9);
  for (const std::string statement :
       {"SELECT settings FROM agents", "SELECT settings FROM webhook_agents",
        "SELECT name FROM caller_details", "SELECT name FROM webhook_source", "SELECT * FROM calls",
        "SELECT webhook_purge(1, 400)", "SELECT webhook_drop_partitions(1)",
        "SELECT webhook_mark_suspect('infinity')", "SELECT webhook_grant_roles()",
        "UPDATE webhook_deliveries SET outcome = 'delivered'", "DELETE FROM webhook_outbox",
        "TRUNCATE webhook_deliveries"}) {
    EXPECT_EQ(reader.Refusal(statement), kDenied) << statement;
  }
  EXPECT_EQ(store::ReadDatabaseStatus(
                {.url = SharedPostgres().Url(Database(), "some_reader"), .application_name = "test"})
                .migrations.back()
                .state,
            store::MigrationState::kApplied);
}

TEST_F(Roles, OfTheServiceCannotChangeRowsOfThePlatformOrOfTheOwner) {
  InsertCall("c", "completed");
  Client service = As("some_dispatcher");
  for (const std::string statement :
       {"UPDATE agents SET settings = '{}'",
        "INSERT INTO calls (id, agent_id, status) VALUES ('x', 'agent', 'queued')",
        "UPDATE webhook_agents SET settings = '{}'", "SELECT settings FROM agents",
        "DELETE FROM webhook_enqueued", "SELECT * FROM webhook_enqueued",
        "UPDATE webhook_summary SET delivered = 1", "UPDATE webhook_outbox SET agent_id = 'mute'",
        "UPDATE webhook_deliveries SET call_id = 'x'", "TRUNCATE webhook_deliveries",
        "ALTER TABLE webhook_deliveries DISABLE TRIGGER ALL", "SELECT webhook_mark_suspect('infinity')",
        "SELECT webhook_grant_roles()", "UPDATE webhook_settings SET value = 'true'",
        "DELETE FROM webhook_migrations"}) {
    EXPECT_EQ(service.Refusal(statement), kDenied) << statement;
  }
}

TEST_F(Roles, OfTheServiceCannotChangeFinishedRows) {
  for (const std::string call : {"over", "lost", "flying"}) {
    InsertCall(call, "completed");
    Claim(call, "interval '0'");
  }
  Finish("over", "rejected");
  Finish("lost", "unknown");
  Client service = As("some_dispatcher");
  service.Run("SET search_path = public, pg_catalog");
  EXPECT_EQ(service.Refusal("UPDATE webhook_deliveries SET error = NULL WHERE call_id = 'over'"), kDenied);
  EXPECT_EQ(service.Refusal("DELETE FROM webhook_deliveries WHERE call_id = 'over'"), kDenied);
  EXPECT_EQ(service.Refusal("DELETE FROM webhook_deliveries WHERE call_id = 'lost'"), kDenied);
  service.Run("UPDATE webhook_deliveries SET error = 'x' WHERE call_id = 'lost'");
  service.Run("DELETE FROM webhook_deliveries WHERE call_id = 'flying'");

  // The same holds in a partition that is made later, also when the statement names the partition.
  EXPECT_EQ(service.Number("SELECT webhook_make_partitions(20)"), 20);
  const std::string last = db_.Value("SELECT name FROM webhook_partitions ORDER BY day DESC LIMIT 1");
  db_.Run(
      "UPDATE webhook_deliveries SET claimed_at = claimed_at + interval '20 days' WHERE call_id = 'over'");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM " + last), 1);
  EXPECT_EQ(service.Refusal("DELETE FROM webhook_deliveries WHERE call_id = 'over'"), kDenied);
  EXPECT_EQ(service.Refusal("DELETE FROM " + last), kDenied);

  db_.Run(
      "INSERT INTO webhook_summary VALUES (date_trunc('hour', now(), 'UTC'), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "
      "0, 0, 0, true)");
  EXPECT_EQ(service.Refusal("DELETE FROM webhook_summary"), kDenied);
  db_.Run("UPDATE webhook_summary SET final = false");
  service.Run("DELETE FROM webhook_summary");
}

TEST_F(Roles, OfTheOwnerMayChangeFinishedRows) {
  InsertCall("c", "completed");
  Claim("c", "interval '0'");
  Finish("c", "rejected");
  db_.Run("UPDATE webhook_deliveries SET response_body = NULL, error = NULL WHERE call_id = 'c'");
  db_.Run("DELETE FROM webhook_deliveries WHERE call_id = 'c'");
}

// A role that was given rights by hand, before the group roles existed, keeps these rights.
TEST_F(Roles, WithRightsOfTheirOwnKeepThem) {
  SharedPostgres().Execute(
      "DO $$ BEGIN CREATE ROLE by_hand LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
  db_.Run("GRANT ALL ON webhook_deliveries TO by_hand");
  InsertCall("c", "completed");
  Claim("c", "interval '0'");
  Finish("c", "rejected");
  As("by_hand").Run("DELETE FROM webhook_deliveries WHERE call_id = 'c'");
}

// These functions find our tables and the functions of pg_catalog, whatever the caller's search path is.
TEST_F(Roles, CannotMakeFunctionsOfTheOwnerUseTheirTables) {
  EXPECT_EQ(db_.Value(R"(SELECT string_agg(p.proname, ' ')
                           FROM pg_proc p
                          WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
                            AND NOT 'search_path=public, pg_temp' = ANY (coalesce(p.proconfig, '{}')))"),
            "");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM pg_proc WHERE prosecdef AND proname LIKE 'webhook%'"), 13);
  Client service = As("some_dispatcher");
  service.Run(
      "CREATE TEMP TABLE webhook_partitions (name text, day date); SET search_path = pg_temp, public");
  EXPECT_EQ(service.Number("SELECT webhook_make_partitions(7)"), 7);
}

// Every role may create objects in our schema here. PostgreSQL chooses an operator or function by the types
// of its arguments, and prefers another role's that fits better to its own.
TEST_F(Roles, CannotSlipAnOperatorThatFitsBetterIntoThoseThatRunAsTheOwner) {
  const std::string raises = "LANGUAGE plpgsql AS $$ BEGIN RAISE 'slipped in'; END $$";
  db_.Run("CREATE FUNCTION slip(jsonb, text) RETURNS text " + raises);
  db_.Run("CREATE OPERATOR public.#>> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = slip)");
  db_.Run("CREATE FUNCTION slip(bigint, int) RETURNS bigint " + raises);
  db_.Run("CREATE OPERATOR public.% (LEFTARG = bigint, RIGHTARG = int, FUNCTION = slip)");
  db_.Run("CREATE FUNCTION to_char(date, text) RETURNS text " + raises);
  db_.Run("CREATE FUNCTION format(text, text) RETURNS text " + raises);
  db_.Run("CREATE FUNCTION num_nonnulls(text, text, numeric, text, text, jsonb, jsonb, jsonb) RETURNS int " +
          raises);
  InsertCall("c", "completed", "mute");
  EXPECT_EQ(Declined("c"), "no_url");
  db_.Run("SET postcall.wait_for = 'analysis'");
  InsertCall("d", "completed");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_outbox WHERE awaits_analysis"), 1);
  EXPECT_EQ(db_.Number("SELECT webhook_release_analysed()"), 0);
  EXPECT_EQ(db_.Number("SELECT webhook_make_partitions(20)"), 20);
}

// --- How the roles are made.

class RolesToMake : public ::testing::Test {
 protected:
  // The test needs a cluster of its own, because the shared one already has the roles.
  RolesToMake() {
    postgres_.Execute("CREATE ROLE plain LOGIN");
    postgres_.Execute("CREATE ROLE maker LOGIN CREATEROLE");
    for (const std::string name : {"one", "two", "three"})
      postgres_.Execute("CREATE DATABASE " + name + " OWNER plain");
    postgres_.Execute("CREATE DATABASE four OWNER maker");
  }

  postgres::DatabaseOptions Options(const std::string& database, const std::string& role = "plain") const {
    return {.url = postgres_.Url(database, role), .application_name = "test"};
  }
  bool AreThere() const {
    return postgres_.Execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'postcall%'") == "2";
  }

  PrivatePostgres postgres_;
};

TEST_F(RolesToMake, AreLeftToAnAdministratorWhenTheMigratingRoleMayNotMakeThem) {
  const auto migrated = Migrate(Options("one"));
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_THAT(migrated->left_to_others,
              ElementsAre("CREATE ROLE postcall_service NOLOGIN", "CREATE ROLE postcall_reader NOLOGIN",
                          "SELECT public.webhook_grant_roles()"));
  EXPECT_FALSE(AreThere());
  const auto again = Migrate(Options("one"));
  ASSERT_TRUE(again) << again.error();
  EXPECT_THAT(again->left_to_others, IsEmpty()) << "the message appears once";

  for (const std::string& statement : migrated->left_to_others) postgres_.Execute(statement, "one");
  postgres_.Execute("CREATE ROLE dispatcher LOGIN IN ROLE postcall_service");
  postgres::Session session(Options("one", "dispatcher"));
  EXPECT_EQ(store::FaultOfDatabase(session), std::nullopt);

  // Now that the roles exist, the owner gives them their rights.
  const auto second = Migrate(Options("two"));
  ASSERT_TRUE(second) << second.error();
  EXPECT_THAT(second->left_to_others, IsEmpty());
  postgres::Session other(Options("two", "dispatcher"));
  EXPECT_EQ(store::FaultOfDatabase(other), std::nullopt);
}

TEST_F(RolesToMake, AreMadeByAnyRoleThatMayMakeRoles) {
  const auto migrated = Migrate(Options("four", "maker"));
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_THAT(migrated->left_to_others, IsEmpty());
  EXPECT_TRUE(AreThere());
}

TEST_F(RolesToMake, AreMadeOnceWhenSeveralDatabasesMigrateAtOnce) {
  std::vector<std::thread> starters;
  std::vector<std::string> errors(4);
  const std::vector<std::string> databases = {"one", "two", "three", "four"};
  std::atomic<int> ready{0};
  for (std::size_t i = 0; i < databases.size(); ++i) {
    starters.emplace_back([&, i] {
      ++ready;
      while (ready < 4) std::this_thread::yield();
      const auto migrated = Migrate(Options(databases[i], "postgres"));
      errors[i] = migrated ? "" : migrated.error();
      if (migrated && !migrated->left_to_others.empty()) errors[i] = migrated->left_to_others.front();
    });
  }
  for (std::thread& starter : starters) starter.join();
  EXPECT_THAT(errors, ElementsAre("", "", "", ""));
  EXPECT_TRUE(AreThere());
}

// When the migration of one database has made the role but has not committed, that of another database waits.
// It continues after a commit and after a rollback.
TEST_F(RolesToMake, AreWaitedForWhileAnotherDatabaseMakesThem) {
  Client other(postgres_.Url("two"));
  other.Run("BEGIN; CREATE ROLE postcall_service NOLOGIN");
  std::atomic<bool> done{false};
  std::string error;
  std::thread migrating([&] {
    const auto migrated = Migrate(Options("one", "postgres"));
    if (!migrated) error = migrated.error();
    done = true;
  });
  Client watcher(postgres_.Url("two"));
  while (!done && watcher.Number("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0)
    std::this_thread::yield();
  EXPECT_FALSE(done) << error;
  other.Run("COMMIT");
  migrating.join();
  EXPECT_EQ(error, "");
  EXPECT_TRUE(AreThere());
}

TEST_F(RolesToMake, MayReadThePlatformsOwnViewsOnceTheirOwnerGrantsIt) {
  Client owner(postgres_.Url("one"));
  owner.Run(R"(CREATE TABLE bots (id text PRIMARY KEY, name text, settings jsonb);
               CREATE VIEW webhook_agents AS SELECT id, name, settings FROM bots;
               CREATE VIEW webhook_source AS
               SELECT ''::text AS call_id, ''::text AS agent_id, ''::text AS recording_uri, ''::text AS transcript_uri,
                      ''::text AS name, ''::text AS phone_number, ''::text AS email, ''::text AS scheduled_time,
                      ''::text AS address, ''::text AS pincode, ''::text AS city, ''::text AS state, ''::text AS country,
                      ''::text AS age, ''::text AS gender, ''::text AS occupation, ''::text AS company,
                      ''::text AS preferred_contact_method, ''::text AS best_time_to_call, ''::text AS language,
                      ''::text AS summary, ''::text AS mood, 1::numeric AS score, ''::text AS call_outcome,
                      ''::text AS classification, '{}'::jsonb AS interests_and_needs, '{}'::jsonb AS action_items,
                      '{}'::jsonb AS sentiment, true AS completed;
               GRANT SELECT ON webhook_agents, webhook_source TO plain;
               CREATE ROLE postcall_service NOLOGIN; CREATE ROLE postcall_reader NOLOGIN;
               CREATE ROLE dispatcher LOGIN IN ROLE postcall_service)");
  const auto migrated = Migrate(Options("one"), {.own_tables = true});
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_THAT(migrated->left_to_others,
              ElementsAre("GRANT SELECT ON public.webhook_source TO postcall_service",
                          "GRANT SELECT ON public.webhook_agents TO postcall_service"));
  postgres::Session session(Options("one", "dispatcher"));
  EXPECT_THAT(store::FaultOfDatabase(session).value(),
              HasSubstr("the role dispatcher may not read webhook_"));
  for (const std::string& statement : migrated->left_to_others) owner.Run(statement);
  EXPECT_EQ(store::FaultOfDatabase(session), std::nullopt);
}

TEST_F(RolesToMake, WorkInASchemaOtherThanPublic) {
  postgres_.Execute("CREATE SCHEMA hooks AUTHORIZATION plain", "one");
  postgres_.Execute("ALTER DATABASE one SET search_path = hooks");
  postgres_.Execute("CREATE ROLE postcall_service NOLOGIN");
  postgres_.Execute("CREATE ROLE postcall_reader NOLOGIN");
  postgres_.Execute("CREATE ROLE dispatcher LOGIN IN ROLE postcall_service");
  postgres_.Execute("REVOKE CONNECT ON DATABASE one FROM PUBLIC");
  const auto migrated = Migrate(Options("one"));
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_THAT(migrated->left_to_others, IsEmpty()) << "plain owns the database and the schema";
  postgres::Session session(Options("one", "dispatcher"));
  EXPECT_EQ(store::FaultOfDatabase(session), std::nullopt);
}

}  // namespace
}  // namespace postcall::test
