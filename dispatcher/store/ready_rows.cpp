#include "dispatcher/store/ready_rows.h"

#include <optional>
#include <string>
#include <utility>

#include "dispatcher/postgres/database_value.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/transaction_settings.h"

namespace postcall::store {
namespace {

// Makes rows ready whose wait for an analysis is over, the first of them at the moment $1. Every row that
// becomes ready gets a new id, by which the feed finds it.
constexpr const char* kRipen = R"sql(
    UPDATE webhook_outbox
       SET awaits_analysis = false, id = DEFAULT
     WHERE id = ANY (ARRAY(
             SELECT id FROM webhook_outbox
              WHERE awaits_analysis
                AND due_at >= 'epoch'::timestamptz + $1 * interval '1 microsecond'
                AND due_at <= statement_timestamp()
              ORDER BY due_at
              LIMIT 500
                FOR UPDATE SKIP LOCKED))
)sql";

// The first row is not of the outbox. It has the id of this moment, the snapshot, how many transactions have
// begun since number 3, and when the first row became due that is to be made ready, from the moment $3 on.
//
// The moment comes before the snapshot: it is that at which the statement arrived. The count comes after the
// snapshot: age() reads it when it is first called in a transaction, and draws no number itself.
constexpr const char* kFeed = R"sql(
    SELECT ((date_part('epoch'::text, statement_timestamp()) - 1577836800::float8) * 1000000::float8)::bigint
             * 4096::bigint AS id,
           pg_current_snapshot()::text AS agent_id,
           age('3'::xid)::bigint AS due_at,
           (SELECT (extract(epoch FROM o.due_at) * 1000000)::bigint
              FROM webhook_outbox o
             WHERE o.awaits_analysis
               AND o.due_at >= 'epoch'::timestamptz + $3 * interval '1 microsecond'
               AND o.due_at <= statement_timestamp()
             ORDER BY o.due_at
             LIMIT 1) AS first_ripe
     UNION ALL
    (SELECT id, agent_id, (extract(epoch FROM due_at) * 1000000)::bigint, NULL
       FROM webhook_outbox
      WHERE id > $1
        AND NOT awaits_analysis
      ORDER BY id
      LIMIT $2)
)sql";

// Steps through the index of the claim from agent to agent. At the start, the rows of calls whose agent is
// not known yet come first.
constexpr const char* kWalk = R"sql(
    WITH RECURSIVE first (agent_id, due_at, id, agents) AS (
        ((SELECT agent_id, due_at, id, 0
            FROM webhook_outbox
           WHERE agent_id = '' AND agent_id >= $1 AND NOT awaits_analysis
           ORDER BY agent_id, due_at, id
           LIMIT 1)
         UNION ALL
         (SELECT agent_id, due_at, id, 1
            FROM webhook_outbox
           WHERE agent_id > $1 AND NOT awaits_analysis
           ORDER BY agent_id, due_at, id
           LIMIT 1))
      UNION ALL
        SELECT next.agent_id, next.due_at, next.id, first.agents + 1
          FROM first
         CROSS JOIN LATERAL (
                 SELECT o.agent_id, o.due_at, o.id
                   FROM webhook_outbox o
                  WHERE o.agent_id > first.agent_id AND NOT o.awaits_analysis
                  ORDER BY o.agent_id, o.due_at, o.id
                  LIMIT 1) AS next
         WHERE first.agents BETWEEN 1 AND $2 - 1)
    SELECT agent_id, (extract(epoch FROM due_at) * 1000000)::bigint AS due_at, id,
           due_at <= statement_timestamp() AS is_due
      FROM first
)sql";

constexpr std::int64_t kMostRows = 10'000;  // of one statement

ReadyRow RowOf(const pqxx::row& row) {
  return {AgentId(std::string(postgres::TextOf(row["agent_id"]))),
          {postgres::MomentOf(row["due_at"]), DeliveryId(row["id"].as<std::int64_t>())}};
}

// What the first row of kFeed says.
struct FeedHead {
  std::int64_t mark = 0;
  std::string snapshot;
  std::uint32_t next = 0;  // number of a transaction
  std::optional<DatabaseTime> first_ripe;
};

FeedHead HeadOf(const pqxx::row& row) {
  return {.mark = row["id"].as<std::int64_t>(),
          .snapshot = row["agent_id"].c_str(),
          .next = static_cast<std::uint32_t>(row["due_at"].as<std::int64_t>()) + 3,
          .first_ripe = row["first_ripe"].is_null() ? std::nullopt
                                                    : std::optional(postgres::MomentOf(row["first_ripe"]))};
}

// When an id was drawn.
DatabaseTime MomentOf(std::int64_t id) {
  constexpr DatabaseTime kBegin = std::chrono::sys_days(std::chrono::year(2020) / 1 / 1);
  constexpr std::int64_t kMicrosecond = FeedStart::kSecond / 1'000'000;
  return kBegin + std::chrono::microseconds(id / kMicrosecond);
}

// Returns whether it made rows ready; others may have locked all of them.
bool Ripen(postgres::Session& session, DatabaseTime first) {
  postgres::Transaction transaction(session, kLookUps);
  const bool ripened = transaction.ExecPrepared(kRipen, postgres::ToMicroseconds(first)).affected_rows() > 0;
  transaction.Commit();
  return ripened;
}

}  // namespace

std::vector<ReadyRow> ReadyFeed::Read(postgres::Session& session) {
  std::vector<ReadyRow> rows;
  std::optional<FeedHead> head;
  std::int64_t from = start_.from();
  for (bool more = true; more;) {
    const SteadyTime begin = Steady::now();
    const DatabaseTime ripe_from = ripe_start_.From(begin);
    const pqxx::result read = postgres::Transaction::ExecAlone(session, kLookUps, kFeed, from, kMostRows,
                                                               postgres::ToMicroseconds(ripe_from));
    for (pqxx::result::size_type i = 1; i < read.size(); ++i) rows.push_back(RowOf(read[i]));
    more = static_cast<std::int64_t>(read.size()) > kMostRows;
    if (more) from = rows.back().at.id.get();
    // The first snapshot counts: later ones only show more.
    if (head) continue;
    head = HeadOf(read[0]);
    if (std::exchange(connection_, session.connection_number()) != session.connection_number())
      start_ = FeedStart();
    ripe_start_.Note(head->first_ripe, MomentOf(head->mark), begin, Steady::now());
    if (head->first_ripe && Ripen(session, *head->first_ripe)) more = true;
  }
  start_.Note(head->snapshot, head->next, head->mark);
  return rows;
}

WalkedAgents WalkAgents(postgres::Session& session, const AgentId& after, int max_agents) {
  const pqxx::result read =
      postgres::Transaction::ExecAlone(session, kLookUps, kWalk, after.get(), max_agents);
  WalkedAgents walked;
  int agents = 0;
  for (const pqxx::row& row : read) {
    ReadyRow first = RowOf(row);
    walked.last = first.agent_id;
    if (!first.agent_id.get().empty()) ++agents;
    if (row["is_due"].as<bool>()) walked.rows.push_back(std::move(first));
  }
  walked.at_end = agents < max_agents;
  return walked;
}

}  // namespace postcall::store
