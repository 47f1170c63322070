// `migrate --own-tables`: a platform with tables of its own defines two views and calls two functions
// (CONTRACT §3).
#include <gmock/gmock.h>

#include "tests/integration/migrations/empty_database.h"

namespace postcall::test {
namespace {

using store::Migrate;
using ::testing::HasSubstr;

class OwnTables : public EmptyDatabase {
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
  EXPECT_EQ(db_.Value("SELECT to_regclass('webhook_migrations')"), "")
      << "a refused migration leaves nothing behind";
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
  EXPECT_EQ(std::ssize(migrated->applied), Files() - 3);
  for (const std::string table : {"agents", "calls", "caller_details", "call_analysis"}) {
    EXPECT_EQ(db_.Value("SELECT to_regclass('" + table + "')"), "") << table;
  }
  EXPECT_EQ(db_.Number("SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
                       " WHERE NOT tgisinternal AND c.relname NOT LIKE 'webhook%'"),
            0);
  EXPECT_EQ(Fault(), std::nullopt);
  EXPECT_EQ(store::ReadDatabaseStatus(Options()).migrations[1].state, store::MigrationState::kSkipped);
}

TEST_F(OwnTables, EnqueueWithTheTwoFunctions) {
  db_.Run(kSourceView);
  db_.Run(kAgentsView);
  ASSERT_TRUE(MigrateOwn());
  db_.Run("SET postcall.wait_for = 'analysis'");
  db_.Run(
      "INSERT INTO sessions VALUES ('s', 'bot', 'John', NULL, true), ('p', 'plain', NULL, NULL, true), ('o', "
      "'no-bot', NULL, NULL, true)");
  for (const std::string function : {"webhook_enqueue(text)", "webhook_ready(text)"}) {
    EXPECT_TRUE(db_.True("SELECT has_function_privilege('public', '" + function + "', 'EXECUTE')"))
        << "every role may call it, because the platform does";
  }
  db_.Run("SELECT webhook_enqueue(sid) FROM sessions");
  db_.Run("SELECT webhook_enqueue(sid) FROM sessions");
  EXPECT_EQ(db_.Value("SELECT string_agg(call_id || ' ' || awaits_analysis, ',') FROM webhook_outbox"),
            "s true");
  EXPECT_EQ(db_.Value("SELECT string_agg(call_id, ',' ORDER BY call_id) FROM webhook_declined"), "o,p");
  db_.Run("BEGIN; UPDATE sessions SET notes = 'fine'; SELECT webhook_ready('s'); COMMIT");
  EXPECT_EQ(db_.Number("SELECT webhook_release_hinted()"), 1);
  EXPECT_FALSE(db_.True("SELECT awaits_analysis FROM webhook_outbox"));
}

// deploy/SECURITY.md describes this.
TEST_F(OwnTables, KeepTheRightsOnTheFunctionsThatTheOperatorSet) {
  db_.Run(kSourceView);
  db_.Run(kAgentsView);
  ASSERT_TRUE(MigrateOwn());
  db_.Run("REVOKE EXECUTE ON FUNCTION webhook_enqueue(text) FROM PUBLIC");
  db_.Run(
      "UPDATE webhook_definitions SET checksum = 'of another text' WHERE name = 'functions/webhook_enqueue'");
  EXPECT_THAT(MigrateOwn()->applied, ::testing::ElementsAre("functions/webhook_enqueue"));
  EXPECT_FALSE(db_.True("SELECT has_function_privilege('public', 'webhook_enqueue(text)', 'EXECUTE')"));
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

TEST_F(OwnTables, CannotBeChosenLater) {
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
  const auto migrated = Migrate(Options());  // with our tables, but that view exists
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_EQ(db_.Value("SELECT pg_get_viewdef('webhook_source')"), view);
}

}  // namespace
}  // namespace postcall::test
