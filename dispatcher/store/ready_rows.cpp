#include "dispatcher/store/ready_rows.h"

#include <optional>
#include <string>
#include <utility>

#include "dispatcher/postgres/database_value.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/transaction_settings.h"

namespace postcall::store {
namespace {

// Makes rows ready whose wait for an analysis is over. Every row that becomes ready gets a new id, by which
// the feed finds it.
constexpr const char* kRipen = R"sql(
    UPDATE webhook_outbox
       SET awaits_analysis = false, id = DEFAULT
     WHERE id = ANY (ARRAY(
             SELECT id FROM webhook_outbox
              WHERE awaits_analysis AND due_at <= statement_timestamp()
              ORDER BY due_at
              LIMIT 500
                FOR UPDATE SKIP LOCKED))
)sql";

// The first row is not of the outbox: it has the id of this moment, the snapshot, and the number of this
// transaction. The moment comes before the snapshot: it is that at which the statement arrived. The number is
// drawn after the snapshot.
constexpr const char* kFeed = R"sql(
    SELECT ((date_part('epoch'::text, statement_timestamp()) - 1577836800::float8) * 1000000::float8)::bigint
             * 4096::bigint AS id,
           pg_current_snapshot()::text || ' ' || pg_current_xact_id()::text AS agent_id,
           0::bigint AS due_at
     UNION ALL
    (SELECT id, agent_id, (extract(epoch FROM due_at) * 1000000)::bigint
       FROM webhook_outbox
      WHERE id > $1
        AND NOT awaits_analysis
      ORDER BY id
      LIMIT $2)
)sql";

// Steps through the index of the claim from agent to agent.
constexpr const char* kWalk = R"sql(
    WITH RECURSIVE first (agent_id, due_at, id, agents) AS (
        (SELECT agent_id, due_at, id, 1
           FROM webhook_outbox
          WHERE agent_id > $1 AND NOT awaits_analysis
          ORDER BY agent_id, due_at, id
          LIMIT 1)
      UNION ALL
        SELECT next.agent_id, next.due_at, next.id, first.agents + 1
          FROM first
         CROSS JOIN LATERAL (
                 SELECT o.agent_id, o.due_at, o.id
                   FROM webhook_outbox o
                  WHERE o.agent_id > first.agent_id AND NOT o.awaits_analysis
                  ORDER BY o.agent_id, o.due_at, o.id
                  LIMIT 1) AS next
         WHERE first.agents < $2)
    SELECT agent_id, (extract(epoch FROM due_at) * 1000000)::bigint AS due_at, id,
           due_at <= statement_timestamp() AS is_due
      FROM first
)sql";

constexpr int kMostRows = 10'000;  // of one statement

ReadyRow RowOf(const pqxx::row& row) {
  return {AgentId(std::string(postgres::TextOf(row["agent_id"]))),
          {postgres::MomentOf(row["due_at"]), DeliveryId(row["id"].as<std::int64_t>())}};
}

}  // namespace

std::vector<ReadyRow> ReadyFeed::Read(postgres::Session& session) {
  postgres::Transaction transaction(session, kLookUps);
  if (std::exchange(connection_, session.connection_number()) != session.connection_number())
    start_ = FeedStart();
  const bool ripened = transaction.ExecPrepared(kRipen).affected_rows() > 0;
  std::vector<ReadyRow> rows;
  std::optional<std::pair<std::string, std::int64_t>> noted;
  std::int64_t from = start_.from();
  for (bool more = true; more;) {
    const pqxx::result read = transaction.ExecPrepared(kFeed, from, kMostRows);
    // The first snapshot counts: later ones only show more.
    if (!noted) noted.emplace(read[0]["agent_id"].c_str(), read[0]["id"].as<std::int64_t>());
    for (pqxx::result::size_type i = 1; i < read.size(); ++i) rows.push_back(RowOf(read[i]));
    more = static_cast<int>(read.size()) > kMostRows;
    if (more) from = rows.back().at.id.get();
  }
  if (ripened) transaction.Commit();
  start_.Note(noted->first, noted->second);
  return rows;
}

WalkedAgents WalkAgents(postgres::Session& session, const AgentId& after, int max_agents) {
  postgres::Transaction transaction(session, kLookUps);
  const pqxx::result read = transaction.ExecPrepared(kWalk, after.get(), max_agents);
  WalkedAgents walked;
  if (after.get().empty()) walked.rows.push_back({AgentId(), {}});
  for (const pqxx::row& row : read) {
    ReadyRow first = RowOf(row);
    walked.last = first.agent_id;
    if (row["is_due"].as<bool>()) walked.rows.push_back(std::move(first));
  }
  walked.at_end = static_cast<int>(read.size()) < max_agents;
  return walked;
}

}  // namespace postcall::store
