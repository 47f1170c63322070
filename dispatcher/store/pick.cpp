// The first part of a claim: picks its rows and locks them.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
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

// Picks due rows of the agents $1, in this order; of each at most $4 rows from the position ($2, $3) on, and
// at most $5 in all. It locks exactly the rows that it returns. The statements after it read the platform's
// own views: these may sort and hash, which a look-up in the outbox must not, and each statement may take $6
// ms.
constexpr const char* kPick = R"sql(
    SELECT due.id, due.call_id, due.agent_id, due.cause,
           (extract(epoch FROM due.due_at) * 1000000)::bigint AS due_at,
           due.requeues, due.location, due.unread
      FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::int[]) AS share (agent_id, due_at, id, max_rows)
     CROSS JOIN LATERAL (
             SELECT o.*, o.ctid AS location
               FROM webhook_outbox o
              WHERE o.agent_id = share.agent_id
                AND NOT o.awaits_analysis
                AND (o.due_at, o.id) >= ('epoch'::timestamptz + share.due_at * interval '1 microsecond', share.id)
                AND o.due_at <= statement_timestamp()
              ORDER BY o.due_at, o.id
              LIMIT share.max_rows
                FOR UPDATE SKIP LOCKED) AS due
     WHERE (SELECT set_config('enable_sort', 'on', true) || set_config('enable_hashjoin', 'on', true)
                || set_config('statement_timeout', $6::text, true) || set_config('lock_timeout', '300', true)) <> ''
     LIMIT $5::int
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

// A transaction and the rows that it has locked.
using Begun = std::pair<std::unique_ptr<postgres::Transaction>, pqxx::result>;

Begun PickFrom(postgres::Session& session, const ClaimLimits& limits) {
  postgres::ArrayLiteral agents, due_at, ids, max_rows;
  for (const AgentShare& share : limits.agents) {
    agents.Add(share.agent_id.get());
    due_at.Add(postgres::ToMicroseconds(share.from.due_at));
    ids.Add(share.from.id.get());
    max_rows.Add(share.max_rows);
  }
  return postgres::Transaction::BeginWith(
      session, {.planner = kLookUps.planner, .statement_limit = kManyRowsLimit}, kPick,
      std::move(agents).Close(), std::move(due_at).Close(), std::move(ids).Close(),
      std::move(max_rows).Close(), limits.max_rows, std::to_string(limits.read_limit.count()));
}

Begun PickOf(postgres::Session& session, const std::vector<AgentId>& agents) {
  auto transaction = std::make_unique<postgres::Transaction>(session, kLookUps);
  pqxx::result picked = transaction->Exec(kPickOf, ArrayOf(agents));
  return {std::move(transaction), std::move(picked)};
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

// Notes which rows of which agents were picked, before any of them moves on.
void OpenClaim::NoteShares(const ClaimLimits& limits) {
  shares_.reserve(limits.agents.size());
  std::size_t row = 0;
  for (const AgentShare& share : limits.agents) {
    Looked looked{.agent_id = share.agent_id, .from = share.from, .rows = {}, .may_have_more = false};
    for (; row < rows_.size() && rows_[row].agent_id == share.agent_id; ++row)
      looked.rows.push_back({rows_[row].due_at, rows_[row].id});
    const bool is_full = static_cast<int>(looked.rows.size()) == share.max_rows;
    const bool was_cut_off = walk_.rows == limits.max_rows && row == rows_.size();
    looked.may_have_more = is_full || was_cut_off;
    if (is_full && share.is_full_share) walk_.more = true;
    shares_.push_back(std::move(looked));
    if (was_cut_off) return;  // the claim did not look at the other agents
  }
}

OpenClaim::OpenClaim(std::unique_ptr<postgres::Transaction> transaction, Claimer claimer,
                     const ClaimLimits& limits)
    : claimer_(std::move(claimer)),
      of_all_(limits.only_agents.empty()),
      limits_are_short_(of_all_),
      max_bytes_(limits.max_bytes),
      read_limit_(limits.read_limit),
      transaction_(std::move(transaction)) {}

Picked OpenClaim::Pick(postgres::Session& session, Claimer claimer, const ClaimLimits& limits) {
  if (limits.max_rows <= 0) return Nothing{};
  auto [begun, picked] =
      limits.only_agents.empty() ? PickFrom(session, limits) : PickOf(session, limits.only_agents);
  if (picked.empty()) return Nothing{};
  postgres::Transaction& transaction = *begun;
  OpenClaim claim(std::move(begun), std::move(claimer), limits);
  std::vector<PickedRow>& rows = claim.rows_;
  rows.reserve(static_cast<std::size_t>(picked.size()));
  for (const pqxx::row& row : picked) rows.push_back(RowOf(row, rows.size()));
  Walk& walk = claim.walk_;
  walk.rows = static_cast<int>(rows.size());
  walk.last_agent = rows.back().agent_id;
  walk.more = walk.rows == limits.max_rows;
  if (claim.of_all_) claim.NoteShares(limits);

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
