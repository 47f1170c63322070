// `migrate` on a database that a release before has worked on.
#include <gtest/gtest.h>

#include "dispatcher/store/database_fit.h"
#include "dispatcher/store/migrate.h"
#include "migrations/migrations.h"
#include "tests/integration/store/client.h"
#include "tests/support/private_postgres.h"

namespace postcall::test {
namespace {

// As a release before left it: rows wait, and one of them for its analysis.
TEST(Upgrade, BringsADatabaseWithWaitingCallsFromVersionEightToThis) {
  const store::DatabaseOptions options = {.url = SharedPostgres().CreateDatabase(),
                                          .application_name = "test"};
  Client db(options.url);
  db.Run(
      "CREATE TABLE webhook_migrations (version int PRIMARY KEY, name text NOT NULL,"
      " applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), compatibility int NOT NULL)");
  db.Run("CREATE TABLE webhook_settings (key text PRIMARY KEY, value text NOT NULL)");
  db.Run("INSERT INTO webhook_settings VALUES ('own_tables', 'false')");
  for (const migrations::Migration& migration : migrations::All().first(8)) {
    db.Run("BEGIN; SET LOCAL client_min_messages = warning; " + std::string(migration.sql));
    db.Run("INSERT INTO webhook_migrations (version, name, compatibility) VALUES (" +
           std::to_string(migration.version) + ", 'before', 1)");
    db.Run("COMMIT");
  }
  db.Run("SELECT webhook_make_partitions(7)");
  db.Run(R"(INSERT INTO agents VALUES ('agent', '', '{"webhooks": {"postCall": "https://x"}}'))");
  db.Run(
      "INSERT INTO calls (id, agent_id, status) VALUES ('unread', 'agent', 'completed'), ('due', 'agent', "
      "'completed')");
  db.Run("SET postcall.analysis_wait = '1 hour'");
  db.Run("INSERT INTO calls (id, agent_id, status) VALUES ('waits', 'agent', 'completed')");
  db.Run("UPDATE webhook_outbox SET agent_id = '' WHERE call_id = 'unread'");

  const auto migrated = store::Migrate(options);
  ASSERT_TRUE(migrated) << migrated.error();
  EXPECT_EQ(migrated->applied.size(), migrations::All().size() - 8);
  store::Session session(options);
  EXPECT_EQ(store::FaultOfDatabase(session), std::nullopt);
  EXPECT_EQ(
      db.Value(
          "SELECT string_agg(call_id || ' ' || awaits_analysis, ', ' ORDER BY call_id) FROM webhook_outbox"),
      "due false, unread false, waits true");
  EXPECT_EQ(db.Value("SELECT agent_id FROM webhook_find_agents(ARRAY(SELECT id FROM webhook_outbox))"),
            "agent");
  db.Run("INSERT INTO call_analysis (call_id, summary) VALUES ('waits', 'fine')");
  EXPECT_EQ(db.Number("SELECT webhook_release_hinted()"), 1);
  EXPECT_EQ(db.Number("SELECT count(*) FROM webhook_outbox WHERE NOT awaits_analysis"), 3);
}

}  // namespace
}  // namespace postcall::test
