#include "dispatcher/store/write_claim.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "common/utf8.h"
#include "dispatcher/postgres/array_literal.h"
#include "dispatcher/postgres/database_value.h"
#include "dispatcher/store/heartbeat.h"

namespace postcall::store {
namespace {

// Moves the rows from the outbox to the log. $5 is claimed_at, and also finished_at of the rows that are
// final at once. Without a row in flight, the sweeps need not know the claim.
constexpr const char* kMoveToLog = R"sql(
    WITH moved AS (
      DELETE FROM webhook_outbox o
       USING unnest($1::tid[], $2::text[], $3::text[], $4::text[]) AS verdict (location, url, outcome, error)
       WHERE o.ctid = verdict.location
      RETURNING o.id, o.call_id, o.agent_id, o.cause, o.enqueued_at, o.due_at,
                verdict.url, verdict.outcome, verdict.error,
                'epoch'::timestamptz + $5::bigint * interval '1 microsecond' AS now),
      opened AS (
      INSERT INTO webhook_claims (claim_id, claimed_at)
      SELECT $7::uuid, 'epoch'::timestamptz + $5::bigint * interval '1 microsecond'
       WHERE 'in_flight' = ANY ($3::text[]))
    INSERT INTO webhook_deliveries (
      id, call_id, agent_id, cause, url, outcome, reached, error,
      enqueued_at, due_at, claimed_at, finished_at, dispatcher, claim_id)
    SELECT id, call_id, agent_id, cause, url, outcome,
           CASE WHEN outcome <> 'in_flight' THEN 'nothing' END, error,
           enqueued_at, due_at, now, CASE WHEN outcome <> 'in_flight' THEN now END, $6, $7::uuid
      FROM moved
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

  void Write(postgres::Transaction& transaction, DatabaseTime claimed_at, const Claimer& claimer) && {
    const pqxx::result moved = transaction.ExecPrepared(
        kMoveToLog, std::move(locations_).Close(), std::move(urls_).Close(), std::move(outcomes_).Close(),
        std::move(errors_).Close(), postgres::ToMicroseconds(claimed_at), ToStorableText(claimer.instance),
        claimer.claim_id.get().ToString());
    if (static_cast<std::size_t>(moved.affected_rows()) != size_) {
      throw postgres::Refused("the outbox changed under a claim's locks; nothing was claimed", "");
    }
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
  const Heartbeat heartbeat = MoveHeartbeat(transaction, claimer.dispatcher, claimer.instance);
  claimed.anchor = {.at = heartbeat.at, .steady = Steady::now()};
  claimed.finished = std::move(finished);
  std::move(verdicts).Write(transaction, heartbeat.at, claimer);
  try {
    // The commit comes before anything is sent: a crash must count as an attempt.
    if (transaction.Commit()) return claimed;
  } catch (const postgres::CommitInDoubt&) {
  }
  return InDoubt{claimer, std::move(claimed), heartbeat.transaction_id};
}

}  // namespace postcall::store
