#include "dispatcher/store/resolve.h"

#include <cstdint>
#include <string>
#include <string_view>

#include "dispatcher/postgres/database_value.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/heartbeat.h"
#include "dispatcher/store/transaction_settings.h"

namespace postcall::store {
namespace {

// Asks for the final state of the transaction before the rows are read, because a server process whose
// connection was cut may still commit. An id that this server has not assigned yet is of a server that it
// replaced, and was never committed here. NULL: the transaction is too old for the server to know.
constexpr const char* kFate = R"sql(
    SELECT CASE WHEN $1::xid8 < pg_current_xact_id() THEN pg_xact_status($1::xid8)
                ELSE 'aborted'
           END
)sql";

constexpr const char* kRowsOfClaim = R"sql(
    SELECT id, outcome = 'in_flight' AS in_flight
      FROM webhook_deliveries
     WHERE claimed_at = $1::timestamptz
       AND claim_id = $2::uuid
)sql";

}  // namespace

Resolved ResolveClaim(postgres::Session& session, const InDoubt& doubt) {
  const Claimer& claimer = doubt.claimer;
  postgres::Transaction transaction(session, kLookUps);
  const pqxx::result fate = transaction.Exec(kFate, doubt.transaction_id);
  const std::string_view status = postgres::TextOf(fate[0][0]);
  if (status == "in progress") return {.fate = Fate::kPending};
  if (status == "aborted") return {.fate = Fate::kAborted};

  // The transaction in doubt, which is over, has kept observers from declaring this dispatcher dead.
  Resolved resolved{.fate = Fate::kAborted, .owned_since = Steady::now()};
  MoveHeartbeat(transaction, claimer.dispatcher, claimer.instance);
  const pqxx::result rows = transaction.Exec(kRowsOfClaim, postgres::TimestampOf(doubt.claimed.anchor.at),
                                             claimer.claim_id.get().ToString());
  for (const pqxx::row& row : rows) {
    resolved.fate = Fate::kCommitted;
    if (row[1].as<bool>()) resolved.in_flight.insert(DeliveryId(row[0].as<std::int64_t>()));
  }
  if (!transaction.Commit()) return {.fate = Fate::kOnlyHere};
  return resolved;
}

}  // namespace postcall::store
