// Functions, views and triggers are applied again only when their text has changed
// (migrations/README.md).
#include "dispatcher/store/definitions.h"

#include <gmock/gmock.h>

#include <thread>

#include "tests/integration/migrations/empty_database.h"

namespace postcall::test {
namespace {

using store::Migrate;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Definitions : public EmptyDatabase {
 protected:
  Definitions() { EXPECT_TRUE(Migrate(Options())); }

  // As if an earlier version had applied this file with another text.
  void HadAnotherText(const std::string& file) {
    db_.Run("UPDATE webhook_definitions SET checksum = 'of another text' WHERE name = '" + file + "'");
  }
  std::vector<std::string> Pending() const {
    return store::ReadDatabaseStatus(Options()).pending_definitions;
  }
};

TEST_F(Definitions, AreRecordedWithTheirChecksums) {
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_definitions WHERE length(checksum) = 64"),
            static_cast<int>(migrations::Definitions().size()));
  EXPECT_THAT(Pending(), IsEmpty());
}

TEST_F(Definitions, WhoseTextHasChangedAreAppliedAgainAndNoOther) {
  db_.Run(
      "CREATE OR REPLACE FUNCTION webhook_enqueue_wanted() RETURNS boolean LANGUAGE sql AS 'SELECT false'");
  const std::string others =
      "SELECT string_agg(applied_at::text, ' ' ORDER BY name) FROM webhook_definitions"
      " WHERE name <> 'functions/webhook_enqueue_wanted'";
  const std::string before = db_.Value(others);
  HadAnotherText("functions/webhook_enqueue_wanted");
  EXPECT_THAT(Pending(), ElementsAre("functions/webhook_enqueue_wanted"));
  EXPECT_THAT(Fault().value(), HasSubstr("does not have functions/webhook_enqueue_wanted"));
  const auto migrated = Migrate(Options());
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_THAT(migrated->applied, ElementsAre("functions/webhook_enqueue_wanted"));
  EXPECT_TRUE(db_.True("SELECT webhook_enqueue_wanted()"));
  EXPECT_EQ(db_.Value(others), before);
  EXPECT_THAT(Pending(), IsEmpty());
  EXPECT_EQ(Fault(), std::nullopt);
}

TEST_F(Definitions, ThatAreMissingAreApplied) {
  db_.Run(
      "DROP VIEW webhook_certificates; DELETE FROM webhook_definitions WHERE name = "
      "'views/webhook_certificates'");
  EXPECT_THAT(Migrate(Options())->applied, ElementsAre("views/webhook_certificates"));
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_certificates"), 0);
}

TEST_F(Definitions, CreateAgainAViewWhoseColumnsHaveChangedAndOurViewsThatReadIt) {
  db_.Run("ALTER VIEW webhook_enqueued RENAME COLUMN agent_id TO agent");
  HadAnotherText("views/webhook_enqueued");
  const auto migrated = Migrate(Options());
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_THAT(migrated->applied, ElementsAre("views/webhook_enqueued", "views/webhook_recent",
                                             "views/webhook_open_hours", "views/webhook_reconciliation"));
  EXPECT_EQ(db_.Number("SELECT count(agent_id) FROM webhook_enqueued"), 0);
  EXPECT_EQ(db_.Number("SELECT unaccounted FROM webhook_reconciliation"), 0);
  EXPECT_TRUE(db_.True("SELECT has_table_privilege('postcall_reader', 'webhook_enqueued', 'SELECT')"));
  EXPECT_THAT(Pending(), IsEmpty());
}

TEST_F(Definitions, CreateAgainAFunctionWhoseResultHasChanged) {
  db_.Run("DROP FUNCTION webhook_close_hours()");
  db_.Run("CREATE FUNCTION webhook_close_hours() RETURNS text LANGUAGE sql AS 'SELECT NULL'");
  HadAnotherText("functions/webhook_close_hours");
  ASSERT_TRUE(Migrate(Options()));
  EXPECT_EQ(db_.Value("SELECT pg_typeof(webhook_close_hours())"), "integer");
  EXPECT_FALSE(db_.True("SELECT has_function_privilege('public', 'webhook_close_hours()', 'EXECUTE')"));
}

// A dispatcher that calls a function without its grants would be refused.
TEST_F(Definitions, AreNeverVisibleWithoutTheirGrants) {
  db_.Run("DROP FUNCTION webhook_close_hours()");
  db_.Run("CREATE FUNCTION webhook_close_hours() RETURNS text LANGUAGE sql AS 'SELECT NULL'");
  HadAnotherText("functions/webhook_close_hours");
  db_.Run(R"(
      CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no grants now'; END $$;
      CREATE EVENT TRIGGER refused ON ddl_command_start WHEN tag IN ('GRANT') EXECUTE FUNCTION refuse())");
  const auto refused = Migrate(Options());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error(), HasSubstr("no grants now"));
  EXPECT_EQ(db_.Value("SELECT pg_typeof(webhook_close_hours())"), "text") << "it is as it was";

  db_.Run("DROP EVENT TRIGGER refused");
  ASSERT_TRUE(Migrate(Options()));
  EXPECT_TRUE(
      db_.True("SELECT has_function_privilege('postcall_service', 'webhook_close_hours()', 'EXECUTE')"));
}

TEST_F(Definitions, DropNoViewThatIsNotOurs) {
  db_.Run("ALTER VIEW webhook_failures RENAME COLUMN error TO reason");
  db_.Run("CREATE SCHEMA reports; CREATE VIEW reports.daily AS SELECT reason FROM webhook_failures");
  HadAnotherText("views/webhook_failures");
  const auto migrated = Migrate(Options());
  ASSERT_FALSE(migrated);
  EXPECT_THAT(migrated.error(), HasSubstr("webhook_failures change, and reports.daily reads it"));
  EXPECT_EQ(db_.Number("SELECT count(*) FROM reports.daily"), 0);
  db_.Run("DROP VIEW reports.daily");
  EXPECT_TRUE(Migrate(Options()));
}

// During a rolling upgrade an older binary may start with --migrate.
TEST_F(Definitions, OfANewerBinaryAreNotChanged) {
  HadAnotherText("functions/webhook_decide");
  db_.Run("UPDATE webhook_settings SET value = '99.0.0' WHERE key = 'version'");
  const auto migrated = Migrate(Options());
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_THAT(migrated->applied, IsEmpty());
  EXPECT_THAT(Pending(), IsEmpty());
  EXPECT_EQ(Fault(), std::nullopt);
  EXPECT_EQ(store::ReadDatabaseStatus(Options()).version, "99.0.0");

  db_.Run("UPDATE webhook_settings SET value = '0.0.9' WHERE key = 'version'");
  EXPECT_THAT(Migrate(Options())->applied, ElementsAre("functions/webhook_decide"));
  EXPECT_EQ(store::ReadDatabaseStatus(Options()).version, POSTCALL_VERSION);
}

TEST_F(Definitions, ReplaceATriggerSoThatNoCallIsMissed) {
  HadAnotherText("triggers/calls");
  Client platform(url_);
  platform.Run(R"(INSERT INTO agents VALUES ('a', '', '{"webhooks": {"postCall": "https://x"}}'))");
  platform.Run("BEGIN; INSERT INTO calls (id, agent_id, status) VALUES ('c', 'a', 'completed')");
  std::string error;
  std::thread migrating([&] {
    const auto migrated = Migrate(Options());
    if (!migrated) error = migrated.error();
  });
  while (db_.Number("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'calls'::regclass") == 0)
    std::this_thread::yield();
  platform.Run("COMMIT");
  migrating.join();
  EXPECT_EQ(error, "");
  platform.Run("INSERT INTO calls (id, agent_id, status) VALUES ('d', 'a', 'completed')");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_outbox"), 2);
}

}  // namespace
}  // namespace postcall::test
