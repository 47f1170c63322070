// The statements that every delivery needs have the plans that they were written for, whatever PostgreSQL
// assumes about its tables: they fill and empty within seconds, and statistics are out of date.
#include <thread>

#include "dispatcher/store/confirm.h"
#include "dispatcher/store/liveness.h"
#include "dispatcher/store/reports.h"
#include "dispatcher/store/requeue.h"
#include "dispatcher/store/resolve.h"
#include "dispatcher/store/upkeep.h"
#include "tests/integration/store/expected_plans.h"
#include "tests/integration/store/store_test.h"
#include "tests/support/pgbouncer.h"
#include "tests/support/plan_log.h"

namespace postcall::store {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class Plans : public StoreTest {
 protected:
  void SetUp() override {
    if (!test::PlanLog::IsThere(test::SharedPostgres())) GTEST_SKIP() << "no auto_explain";
    plans_.emplace(test::SharedPostgres(), platform_.dbname());
    for (const char* mode : {"force_custom_plan", "force_generic_plan"}) {
      sessions_.try_emplace(mode, postgres::DatabaseOptions{.url = url_, .application_name = "plans_test"});
    }
    // Statistics are made only when the test chooses.
    Query(R"sql(
        DO $$
        DECLARE
          name regclass;
        BEGIN
          -- An empty partition is read by any index, and that is no fault.
          FOR name IN SELECT p.name::regclass FROM webhook_partitions p
                       WHERE p.day > (now() AT TIME ZONE 'UTC')::date + 1 LOOP
            EXECUTE format('DROP TABLE %s', name);
          END LOOP;
          FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
            EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', name);
          END LOOP;
        END
        $$)sql");
    // Makes the view fail for one call.
    Query(
        "ALTER VIEW webhook_source RENAME TO plain_source;"
        "CREATE VIEW webhook_source AS SELECT * FROM plain_source"
        " WHERE call_id <> 'poison' OR 1 / (length(call_id) - length('poison')) > 0");
    Query(
        "INSERT INTO agents SELECT 'agent-' || n, 'Agent', '{\"webhooks\": {\"postCall\": "
        "\"https://example.com/hook\"}}' FROM generate_series(0, 1999) AS n; "
        "INSERT INTO calls (id, agent_id, status) VALUES ('poison', 'agent-0', 'queued')");
  }

  // Adds that many rows of 2,000 agents to the outbox, the log and the platform's tables.
  void Fill(int rows) {
    const std::string series = " FROM generate_series(1, " + std::to_string(rows) + ") AS n";
    const std::string call = "'bulk-" + std::to_string(++fills_) + "-' || n";
    const std::string agent = "'agent-' || n % 2000";
    Query("SET LOCAL session_replication_role = replica; INSERT INTO calls (id, agent_id, status) SELECT " +
          call + ", " + agent + ", 'completed'" + series +
          "; INSERT INTO caller_details (call_id, name) SELECT " + call + ", 'Jane'" + series +
          "; INSERT INTO call_analysis (call_id, summary) SELECT " + call + ", 'Long'" + series);
    Query(
        "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at, awaits_analysis) "
        "SELECT " +
        call + ", " + agent + ", 'completion', now(), now() + n % 2 * interval '1 hour', n % 2 = 1" + series);
    Query(
        "INSERT INTO webhook_deliveries (id, call_id, agent_id, cause, outcome, reached, enqueued_at, "
        "due_at, "
        "claimed_at, finished_at, http_status, dispatcher, claim_id) SELECT "
        "nextval('webhook_delivery_id_seq'), " +
        call + ", " + agent +
        ", 'completion', o.outcome, CASE WHEN o.is_over THEN 'response_complete' END, now(), now(), "
        "now() - n / 100 * interval '1 millisecond' + (n % 3 - 1) * interval '1 day', CASE WHEN o.is_over "
        "THEN now() END, "
        "CASE WHEN o.is_over THEN 200 END, 'bulk', gen_random_uuid()" +
        series +
        " CROSS JOIN LATERAL (SELECT n % 50 > 0 AS is_over, CASE WHEN n % 50 > 0 THEN 'delivered' ELSE "
        "'in_flight' END AS outcome) AS o");
  }
  void Empty() {
    Query(
        "DELETE FROM webhook_outbox; DELETE FROM call_analysis; DELETE FROM "
        "caller_details; SET LOCAL session_replication_role = replica; DELETE FROM calls WHERE id <> "
        "'poison'");
  }
  void Analyse() { Query("ANALYZE"); }

  // Dead rows stay from now on, as while a report or a pg_dump holds its snapshot.
  void HoldSnapshot() {
    holder_.exec("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    holder_.exec("SELECT count(*) FROM webhook_outbox");
  }

  // Does once everything that a dispatcher does about deliveries.
  void Live(postgres::Session& session) {
    const std::string n = std::to_string(++lives_);
    AddCalls("agent-1", 6, "life-" + n + "-a-");
    AddCalls("agent-2", 6, "life-" + n + "-b-");
    Query(
        "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at, awaits_analysis) VALUES "
        "('ripe-" +
        n + "', 'agent-2', 'completion', now(), now(), true)");
    // On a busy machine a claim leaves calls that it has no time to read.
    Made claimed;
    std::vector<DeliveryKey> keys;
    while (keys.size() < 10) {
      claimed = dispatcher_.ClaimAll(session, 10 - static_cast<int>(keys.size()));
      const std::vector<DeliveryKey> more = KeysOf(claimed);
      ASSERT_FALSE(more.empty());
      keys.insert(keys.end(), more.begin(), more.end());
    }
    EXPECT_THAT(Confirm(session, dispatcher_.id(), keys).still_ours, SizeIs(10));
    const InDoubt doubt = dispatcher_.DoubtOf(claimed, Value("SELECT pg_current_xact_id()"));
    EXPECT_EQ(ResolveClaim(session, doubt).fate, Fate::kCommitted);
    Query("UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now() WHERE id = " +
          IdOf(keys[0]));
    {
      pqxx::connection other(url_);
      pqxx::work holder(other);
      holder.exec("SELECT FROM webhook_deliveries WHERE id = " + IdOf(keys[1]) + " FOR UPDATE");
      EXPECT_THAT(
          Record(session, std::vector{Delivered(keys[0]), Delivered(keys[1]), Delivered(keys[2])}).locked,
          SizeIs(1));
    }
    EXPECT_THAT(Requeue(session, std::vector<ToRequeue>{{keys[3], 1}, {keys[4], 1}}).not_requeued, IsEmpty());
    MakeClaimOlder(keys[5].id, "1 minute");
    EXPECT_THAT(SweepOwn(session, dispatcher_.id(), {}), SizeIs(6));
    SweepOrphans(session);
    EXPECT_TRUE(ClaimsAreOpen(session));
    ForgetClaims(session, dispatcher_.id());
    Starter other("other");
    EXPECT_THAT(other.ClaimAll(session, 2).to_send, SizeIs(2));
    SteadyTime now = Steady::now();
    Observer observer(dispatcher_.id(), [&] { return now; });
    std::size_t dead = 0;
    for (int look = 0; look < 4; ++look, now += std::chrono::seconds(12))
      dead += observer.Look(session).size();
    EXPECT_EQ(dead, 1u);
    SampleOutbox(session);
    Query(
        "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at, awaits_analysis) VALUES "
        "('waits-" +
        n +
        "', 'agent-3', 'completion', now(), now() + interval '1 hour', true);"
        "INSERT INTO webhook_analysis_hints VALUES ('waits-" +
        n + "')");
    EXPECT_TRUE(CallsMayBeReleased(session));
    ReleaseHinted(session);
    ReleaseAnalysed(session);
    // A call that cannot be read is postponed and then finished.
    TestLimits slow = Limits(1, 1);
    slow.only_agents = {AgentId("agent-0")};
    for (const char* unread : {"0", "5"}) {
      Query(
          "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at, unread) VALUES "
          "('poison', 'agent-0', 'completion', now(), 'epoch', " +
          std::string(unread) + ")");
      dispatcher_.Claim(session, slow, Seen().SendAll());
    }
  }

  // Checks the plans that were used since the last time.
  void ExpectThePlans(const std::string& state) {
    std::map<std::string, std::set<std::string>> used;
    for (const test::UsedPlan& plan : plans_->Read()) {
      for (const Expected& expected : kExpected) {
        if (plan.statement.find(expected.statement) != std::string::npos)
          used[expected.statement].insert(plan.nodes.begin(), plan.nodes.end());
      }
    }
    for (const Expected& expected : kExpected) {
      if (used.count(expected.statement) == 0) {
        ADD_FAILURE() << state << ": not seen: " << expected.statement;
        continue;
      }
      for (const std::string& node : used[expected.statement]) {
        EXPECT_THAT(expected.any_of, ::testing::Contains(node)) << state << ": " << expected.statement;
      }
    }
  }

  // Uses the sessions of the states before, so that plans that were made then are used again.
  void LiveInEachMode(const std::string& state) {
    for (auto& [mode, session] : sessions_) {
      // A new connection takes the mode from the database's settings.
      Query("ALTER DATABASE " + std::string(platform_.dbname()) + " SET plan_cache_mode = " + mode);
      Live(session);
      ExpectThePlans(state + ", " + mode);
    }
  }

  static std::string IdOf(const DeliveryKey& key) { return std::to_string(key.id.get()); }

  Starter dispatcher_;
  std::optional<test::PlanLog> plans_;
  std::map<std::string, postgres::Session> sessions_;
  int fills_ = 0;
  int lives_ = 0;
  pqxx::connection other_{url_};
  pqxx::work holder_{other_};
};

constexpr int kMany = 20'000;
constexpr int kFew = 3;

TEST_F(Plans, OfEmptyTables) {
  Analyse();
  LiveInEachMode("empty");
}

TEST_F(Plans, OfFullTables) {
  Fill(kMany);
  Analyse();
  LiveInEachMode("full");
}

TEST_F(Plans, OfTablesThatWereNeverAnalysed) {
  Fill(kMany);
  LiveInEachMode("never analysed");
}

TEST_F(Plans, OfTablesThatWereEmptied) {
  Fill(kMany);
  Analyse();
  Empty();
  LiveInEachMode("emptied");
}

TEST_F(Plans, OfTablesAnalysedWhileNearlyEmptyThatAreFullOfDeadRows) {
  HoldSnapshot();
  Fill(kMany);
  Empty();
  Fill(kFew);
  Analyse();
  LiveInEachMode("nearly empty, bloated");
  Fill(kMany);
  LiveInEachMode("full again, bloated, analysed while nearly empty");
}

TEST_F(Plans, OfTablesAnalysedWhileEmptyThatAreFullOfDeadRows) {
  HoldSnapshot();
  Fill(kMany);
  Empty();
  Analyse();
  LiveInEachMode("empty, bloated");
  Fill(kMany);
  LiveInEachMode("full again, bloated, analysed while empty");
}

// A platform's own view may ask for the newest of a call's notes. Sorting these few is right: in the order of
// all notes, those of one call are far apart.
TEST_F(Plans, OfThePlatformsOwnViewsAreNotForbiddenToSort) {
  Query(
      "CREATE TABLE notes (call_id text, written_at timestamptz, text text);"
      "INSERT INTO notes SELECT 'note-' || n, now() - n * interval '1 second', 'fine'"
      "  FROM generate_series(1, 20000) AS n;"
      "INSERT INTO notes SELECT 'life-1-a-' || n % 6 + 1, now() - n * interval '1 hour', 'fine'"
      "  FROM generate_series(1, 60) AS n;"
      "CREATE INDEX notes_call ON notes (call_id);"
      "CREATE INDEX notes_written ON notes (written_at);"
      "ALTER VIEW webhook_source RENAME COLUMN summary TO old_summary");
  Query("ALTER VIEW webhook_source RENAME TO source_without_notes");
  Query(
      "CREATE VIEW webhook_source AS SELECT s.*, note.text AS summary FROM source_without_notes s"
      "  LEFT JOIN LATERAL (SELECT n.text FROM notes n WHERE n.call_id = s.call_id"
      "                      ORDER BY n.written_at DESC LIMIT 1) AS note ON true");
  Query("ANALYZE");
  for (auto& [mode, session] : sessions_) {
    Query("ALTER DATABASE " + std::string(platform_.dbname()) + " SET plan_cache_mode = " + mode);
    AddCalls("agent-1", 6, mode + "-");
    EXPECT_THAT(dispatcher_.ClaimAll(session, 6).to_send, SizeIs(6));
    int reads = 0;
    for (const test::UsedPlan& plan : plans_->Read()) {
      if (plan.statement.find("postcall.bytes_read") == std::string::npos) continue;
      ++reads;
      EXPECT_THAT(plan.nodes, ::testing::Contains("Sort"));
      EXPECT_THAT(plan.nodes, ::testing::Not(::testing::Contains("Index Scan notes_written")));
    }
    EXPECT_EQ(reads, 1);
  }
}

// There, statements are not prepared, and settings stay for one transaction.
TEST_F(Plans, ThroughPgBouncer) {
  const test::PgBouncer pgbouncer(test::SharedPostgres(), 1);
  Fill(kMany);
  HoldSnapshot();
  Empty();
  Fill(kFew);
  Analyse();
  Fill(kMany);
  postgres::Session session({.url = pgbouncer.Url(platform_.dbname()), .application_name = "plans_test"});
  Live(session);
  ExpectThePlans("through PgBouncer");
}

}  // namespace
}  // namespace postcall::store
