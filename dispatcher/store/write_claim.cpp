#include "dispatcher/store/write_claim.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "common/utf8.h"
#include "dispatcher/postgres/array_literal.h"
#include "dispatcher/postgres/database_value.h"
#include "dispatcher/store/heartbeat.h"
#include "dispatcher/store/liveness.h"

namespace postcall::store {
namespace {

// Moves the rows from the outbox to the log. Now is claimed_at, and also finished_at of the rows that are
// final at once. Without a row in flight, the sweeps need not know the claim. The lock keeps observers from
// declaring this dispatcher dead before the claim is committed; claims share it, and heartbeats do not wait
// for it.
constexpr const char* kMoveToLog = R"sql(
    WITH moment AS MATERIALIZED (
      SELECT clock_timestamp() AS now),
      alive AS MATERIALIZED (
      SELECT
        FROM webhook_dispatchers
       WHERE id = $7::uuid
         FOR KEY SHARE),
      moved AS (
      DELETE FROM webhook_outbox o
       USING unnest($1::tid[], $2::text[], $3::text[], $4::text[]) AS verdict (location, url, outcome, error)
       WHERE o.ctid = verdict.location
      RETURNING o.id, o.call_id, o.agent_id, o.cause, o.enqueued_at, o.due_at,
                verdict.url, verdict.outcome, verdict.error),
      opened AS (
      INSERT INTO webhook_claims (claim_id, claimed_at)
      SELECT $6::uuid, now
        FROM moment
       WHERE 'in_flight' = ANY ($3::text[])),
      logged AS (
      INSERT INTO webhook_deliveries (
        id, call_id, agent_id, cause, url, outcome, reached, error,
        enqueued_at, due_at, claimed_at, finished_at, dispatcher, claim_id)
      SELECT id, call_id, agent_id, cause, url, outcome,
             CASE WHEN outcome <> 'in_flight' THEN 'nothing' END, error,
             enqueued_at, due_at, now, CASE WHEN outcome <> 'in_flight' THEN now END, $5, $6::uuid
        FROM moved
       CROSS JOIN moment
      RETURNING 1)
    SELECT (extract(epoch FROM now) * 1000000)::bigint AS now,
           pg_current_xact_id()::text AS transaction_id,
           (SELECT count(*) FROM logged) AS rows,
           EXISTS (SELECT FROM alive) AS is_alive
      FROM moment
)sql";

// What each row becomes, as the arrays of kMoveToLog.
class Verdicts {
 public:
  void Add(const std::string& location, Outcome outcome, std::string_view url, std::string_view error) {
    ++size_;
    locations_.Add(location);
    urls_.AddUnlessEmpty(url);
    outcomes_.Add(ToString(outcome));
    errors_.AddUnlessEmpty(error);
  }

  pqxx::row Write(postgres::Transaction& transaction, const Claimer& claimer) && {
    const pqxx::result moved = transaction.ExecPrepared(
        kMoveToLog, std::move(locations_).Close(), std::move(urls_).Close(), std::move(outcomes_).Close(),
        std::move(errors_).Close(), ToStorableText(claimer.instance), claimer.claim_id.get().ToString(),
        claimer.dispatcher.get().ToString());
    if (moved[0]["rows"].as<std::size_t>() != size_) {
      throw postgres::Refused("the outbox changed under a claim's locks; nothing was claimed", "");
    }
    return moved[0];
  }

 private:
  std::size_t size_ = 0;
  postgres::ArrayLiteral locations_, urls_, outcomes_, errors_;
};

}  // namespace

std::variant<Claimed, InDoubt> WriteClaim(postgres::Transaction& transaction, const Claimer& claimer,
                                          std::span<const ToSend> to_send,
                                          std::vector<FinishedRow> finished) {
  Verdicts verdicts;
  for (const ToSend& row : to_send) verdicts.Add(row.row->location, Outcome::kInFlight, row.url, "");
  for (const FinishedRow& row : finished) verdicts.Add(row.row.location, row.outcome, row.url, row.error);

  Claimed claimed;
  claimed.claim_id = claimer.claim_id;
  claimed.owned_since = Steady::now();
  claimed.alive_at = claimer.alive_at;
  const auto move_heartbeat = [&] {
    MoveHeartbeat(transaction, claimer.dispatcher, claimer.instance);
    claimed.alive_at = claimed.owned_since;
  };
  if (claimed.owned_since - claimer.alive_at >= kHeartbeatEvery) move_heartbeat();
  const SteadyTime before = Steady::now();
  const pqxx::row moved = std::move(verdicts).Write(transaction, claimer);
  claimed.anchor = {.at = postgres::MomentOf(moved["now"]), .steady = before};
  claimed.finished = std::move(finished);
  // Another dispatcher declared this one dead.
  if (!moved["is_alive"].as<bool>()) move_heartbeat();
  try {
    // The commit comes before anything is sent: a crash must count as an attempt.
    if (transaction.Commit()) return claimed;
  } catch (const postgres::CommitInDoubt&) {
  }
  return InDoubt{claimer, std::move(claimed), moved["transaction_id"].c_str()};
}

}  // namespace postcall::store
