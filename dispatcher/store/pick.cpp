// The first part of a claim: picks its rows and locks them.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dispatcher/postgres/array_literal.h"
#include "dispatcher/postgres/database_value.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/claim.h"
#include "dispatcher/store/sources.h"
#include "dispatcher/store/transaction_settings.h"
#include "dispatcher/store/unreadable.h"
#include "dispatcher/store/write_claim.h"

namespace postcall::store {
namespace {

// Makes rows ready whose wait for an analysis is over.
constexpr const char* kRipen = R"sql(
    UPDATE webhook_outbox
       SET awaits_analysis = false
     WHERE id = ANY (ARRAY(
             SELECT id FROM webhook_outbox
              WHERE awaits_analysis AND due_at <= statement_timestamp()
              ORDER BY due_at
              LIMIT 500
                FOR UPDATE SKIP LOCKED))
)sql";

// Picks due rows, at most $3 (or $4's number for that agent) of an agent, at most $2 in all, beginning after
// agent $1. It steps through the index from agent to agent, no further than the limit needs, so that it does
// not read the backlog of a noisy agent. It locks exactly the rows that it returns. The statements after it
// read the platform's own views: these may sort and hash, which a walk of the outbox must not, and each
// statement may take $5 ms.
constexpr const char* kPick = R"sql(
    WITH RECURSIVE
      onward (agent_id) AS (
          (SELECT agent_id FROM webhook_outbox
            WHERE agent_id > $1 AND NOT awaits_analysis
            ORDER BY agent_id LIMIT 1)
        UNION ALL
          SELECT (SELECT o.agent_id FROM webhook_outbox o
                   WHERE o.agent_id > onward.agent_id AND NOT o.awaits_analysis
                   ORDER BY o.agent_id LIMIT 1)
            FROM onward
           WHERE onward.agent_id IS NOT NULL),
      around (agent_id) AS (
          (SELECT agent_id FROM webhook_outbox
            WHERE agent_id <= $1 AND NOT awaits_analysis
            ORDER BY agent_id LIMIT 1)
        UNION ALL
          SELECT (SELECT o.agent_id FROM webhook_outbox o
                   WHERE o.agent_id > around.agent_id AND o.agent_id <= $1 AND NOT o.awaits_analysis
                   ORDER BY o.agent_id LIMIT 1)
            FROM around
           WHERE around.agent_id IS NOT NULL),
      agent AS (SELECT agent_id FROM onward UNION ALL SELECT agent_id FROM around)
    SELECT due.id, due.call_id, due.agent_id, due.cause,
           (extract(epoch FROM due.due_at) * 1000000)::bigint AS due_at,
           due.requeues, due.location, due.unread
      FROM agent
     CROSS JOIN LATERAL (
             SELECT o.*, o.ctid AS location
               FROM webhook_outbox o
              WHERE o.agent_id = agent.agent_id
                AND NOT o.awaits_analysis
                AND o.due_at <= statement_timestamp()
              ORDER BY o.due_at, o.id
              LIMIT coalesce(($4::jsonb ->> agent.agent_id)::int, $3::int)
                FOR UPDATE SKIP LOCKED) AS due
     WHERE (SELECT set_config('enable_sort', 'on', true) || set_config('enable_hashjoin', 'on', true)
                || set_config('statement_timeout', $5::text, true) || set_config('lock_timeout', '300', true)) <> ''
     LIMIT $2::int
)sql";

// Picks one due row of the first agent among $1 that has one. Views may sort and hash after it, as after
// kPick.
constexpr const char* kPickOf = R"sql(
    SELECT due.id, due.call_id, due.agent_id, due.cause,
           (extract(epoch FROM due.due_at) * 1000000)::bigint AS due_at,
           due.requeues, due.location, due.unread
      FROM unnest($1::text[]) AS agent (agent_id)
     CROSS JOIN LATERAL (
             SELECT o.*, o.ctid AS location
               FROM webhook_outbox o
              WHERE o.agent_id = agent.agent_id
                AND NOT o.awaits_analysis
                AND o.due_at <= statement_timestamp()
              ORDER BY o.due_at, o.id
              LIMIT 1
                FOR UPDATE SKIP LOCKED) AS due
     WHERE (SELECT set_config('enable_sort', 'on', true) || set_config('enable_hashjoin', 'on', true)) <> ''
     LIMIT 1
)sql";

// Finds the agents of rows whose call could not be read when it was completed. It stores them in the rows,
// which changes the rows' locations.
constexpr const char* kFindAgents = "SELECT id, agent_id, location FROM webhook_find_agents($1::bigint[])";

std::string ArrayOf(const std::vector<AgentId>& agents) {
  postgres::ArrayLiteral literal;
  for (const AgentId& agent : agents) literal.Add(agent.get());
  return std::move(literal).Close();
}

std::string JsonOf(const std::vector<std::pair<AgentId, int>>& agent_limits) {
  if (agent_limits.empty()) return "{}";
  nlohmann::json limits = nlohmann::json::object();
  for (const auto& [agent, limit] : agent_limits) limits[agent.get()] = limit;
  return limits.dump();
}

// True when one agent has as many rows among the picked ones as it may have. Then more of its rows may be
// due.
bool AnAgentReachedItsLimit(const std::vector<PickedRow>& picked, const ClaimLimits& limits) {
  int rows = 0;
  for (std::size_t i = 0; i < picked.size(); ++i) {
    const AgentId& agent = picked[i].agent_id;
    rows = i > 0 && agent == picked[i - 1].agent_id ? rows + 1 : 1;
    if (rows == limits.per_agent &&
        std::ranges::find(limits.agent_limits, agent, &std::pair<AgentId, int>::first) ==
            limits.agent_limits.end()) {
      return true;
    }
  }
  return false;
}

PickedRow RowOf(const pqxx::row& row, std::size_t position) {
  PickedRow picked;
  picked.id = DeliveryId(row[0].as<std::int64_t>());
  picked.call_id = CallId(std::string(postgres::TextOf(row[1])));
  picked.agent_id = AgentId(std::string(postgres::TextOf(row[2])));
  picked.cause = CauseFrom(postgres::TextOf(row[3])).value();
  picked.due_at = postgres::MomentOf(row[4]);
  picked.requeues = row[5].as<int>();
  picked.position = position;
  picked.location = postgres::TextOf(row[6]);
  picked.was_unread = row[7].as<int>() > 0;
  picked.agent_was_unknown = picked.agent_id.get().empty();
  return picked;
}

std::vector<const PickedRow*> PointersTo(const std::vector<PickedRow>& rows) {
  std::vector<const PickedRow*> pointers;
  pointers.reserve(rows.size());
  for (const PickedRow& row : rows) pointers.push_back(&row);
  return pointers;
}

// An empty agent is not known yet, because webhook_enqueue could not read the call. It stays empty when the
// call was removed.
std::optional<NotRead> FindAgents(postgres::Transaction& transaction, bool of_all,
                                  std::chrono::milliseconds read_limit, std::vector<PickedRow>& rows) {
  std::vector<const PickedRow*> unknown;
  postgres::ArrayLiteral literal;
  for (const PickedRow& row : rows) {
    if (!row.agent_was_unknown) continue;
    unknown.push_back(&row);
    literal.Add(row.id.get());
  }
  if (unknown.empty()) return std::nullopt;
  const std::string ids = std::move(literal).Close();
  pqxx::result found;
  if (auto not_read =
          TryReading(unknown, of_all, read_limit, [&] { found = transaction.Exec(kFindAgents, ids); })) {
    return not_read;
  }
  for (const pqxx::row& row : found) {
    const auto of = std::ranges::find(rows, DeliveryId(row[0].as<std::int64_t>()), &PickedRow::id);
    of->agent_id = AgentId(std::string(postgres::TextOf(row[1])));
    of->location = postgres::TextOf(row[2]);
  }
  return std::nullopt;
}

using Picked = std::variant<OpenClaim, Nothing, TooMany, Unreadable>;

Picked ToPicked(NotRead not_read) {
  return std::visit([](auto& what) -> Picked { return std::move(what); }, not_read);
}

}  // namespace

OpenClaim::OpenClaim(postgres::Session& session, Claimer claimer, const ClaimLimits& limits)
    : claimer_(std::move(claimer)),
      of_all_(limits.only_agents.empty()),
      max_bytes_(limits.max_bytes),
      read_limit_(limits.read_limit),
      transaction_(std::make_unique<postgres::Transaction>(
          session, kLookUps, of_all_ ? kManyRowsLimit : postgres::kStatementLimit)) {}

Picked OpenClaim::Pick(postgres::Session& session, Claimer claimer, const ClaimLimits& limits) {
  if (limits.max_rows <= 0) return Nothing{};
  OpenClaim claim(session, std::move(claimer), limits);
  postgres::Transaction& transaction = *claim.transaction_;
  if (claim.of_all_) transaction.ExecPrepared(kRipen);
  const pqxx::result picked =
      claim.of_all_
          ? transaction.ExecPrepared(kPick, limits.after.get(), limits.max_rows, limits.per_agent,
                                     JsonOf(limits.agent_limits), std::to_string(limits.read_limit.count()))
          : transaction.Exec(kPickOf, ArrayOf(limits.only_agents));
  if (picked.empty()) {
    transaction.Commit();  // some rows may have become ready
    return Nothing{};
  }
  std::vector<PickedRow>& rows = claim.rows_;
  rows.reserve(static_cast<std::size_t>(picked.size()));
  for (const pqxx::row& row : picked) rows.push_back(RowOf(row, rows.size()));
  Walk& walk = claim.walk_;
  walk.rows = static_cast<int>(rows.size());
  walk.last_agent = rows.back().agent_id;
  walk.more = walk.rows == limits.max_rows || AnAgentReachedItsLimit(rows, limits);

  if (claim.of_all_) {
    // A row whose call could not be read before is only claimed by a claim of its agent alone.
    std::erase_if(rows, [&](const PickedRow& row) {
      if (row.was_unread) walk.unread.push_back(row.agent_id);
      return row.was_unread;
    });
    if (rows.empty()) return claim;
  }
  if (auto not_read = FindAgents(transaction, claim.of_all_, claim.read_limit_, rows))
    return ToPicked(std::move(*not_read));
  if (auto not_read = TryReading(PointersTo(rows), claim.of_all_, claim.read_limit_, [&] {
        claim.settings_ = std::make_unique<AgentSettingsText>(transaction, rows);
      })) {
    return ToPicked(std::move(*not_read));
  }
  return claim;
}

}  // namespace postcall::store
