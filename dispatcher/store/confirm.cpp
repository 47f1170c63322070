#include "dispatcher/store/confirm.h"

#include <cstdint>
#include <utility>

#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/delivery_keys.h"
#include "dispatcher/store/transaction_settings.h"

namespace postcall::store {
namespace {

constexpr const char* kMoveHeartbeat = R"sql(
    UPDATE webhook_dispatchers
       SET heartbeats = heartbeats + 1,
           heartbeat_at = clock_timestamp()
     WHERE id = $1::uuid
)sql";

constexpr const char* kStillOurs = R"sql(
    SELECT d.id
      FROM unnest($1::bigint[], $2::bigint[], $3::uuid[]) AS k (id, claimed_at, claim_id)
      JOIN webhook_deliveries d
        ON d.claimed_at = 'epoch'::timestamptz + k.claimed_at * interval '1 microsecond'
       AND d.id = k.id
       AND d.claim_id = k.claim_id
     WHERE d.claimed_at = ANY ($4::timestamptz[])
       AND d.outcome = 'in_flight'
)sql";

}  // namespace

Confirmed Confirm(postgres::Session& session, const DispatcherId& dispatcher,
                  std::span<const DeliveryKey> keys) {
  Confirmed confirmed{.owned_since = Steady::now(), .still_ours = {}};
  if (keys.empty()) return confirmed;
  postgres::Transaction transaction(session, kByKeys);
  // Declared dead: all of its rows that were in flight are unknown.
  if (transaction.Exec(kMoveHeartbeat, dispatcher.get().ToString()).affected_rows() == 0) return confirmed;
  DeliveryKeys wanted;
  for (const DeliveryKey& key : keys) wanted.Add(key);
  const pqxx::result rows =
      transaction.Exec(kStillOurs, std::move(wanted.ids).Close(), std::move(wanted.claimed_at).Close(),
                       std::move(wanted.claim_ids).Close(), std::move(wanted.claims).Close());
  for (const pqxx::row& row : rows) confirmed.still_ours.insert(DeliveryId(row[0].as<std::int64_t>()));
  transaction.Commit();
  return confirmed;
}

}  // namespace postcall::store
