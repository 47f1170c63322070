// Writes a batch to the log without the rows that somebody else holds. The room's own; on the thread that
// owns the session.
#pragma once

#include <span>
#include <unordered_set>
#include <vector>

#include "dispatcher/store/delivery_keys.h"
#include "dispatcher/store/transaction.h"
#include "schema/ids.h"

namespace postcall::store {

// Those of the batch that are not over and that another transaction holds; the others are ours until the end
// of this one. FOR UPDATE, for a row that is given back is deleted. Throws Unavailable when it is the whole
// table that is held.
constexpr const char* kHeldByOthers = R"sql(
    WITH keys AS MATERIALIZED (
      SELECT d.claimed_at, d.id
        FROM unnest($1::bigint[], $2::bigint[], $3::uuid[]) AS k (id, claimed_at, claim_id)
        JOIN webhook_deliveries d
          ON d.claimed_at = 'epoch'::timestamptz + k.claimed_at * interval '1 microsecond'
         AND d.id = k.id
         AND d.claim_id = k.claim_id
       WHERE d.claimed_at = ANY ($4::timestamptz[])
         AND d.outcome IN ('in_flight', 'unknown')),
      free AS MATERIALIZED (
      SELECT d.id
        FROM webhook_deliveries d
       WHERE d.claimed_at = ANY ($4::timestamptz[])
         AND d.id = ANY ($1::bigint[])
         FOR UPDATE SKIP LOCKED)
    SELECT id FROM keys WHERE id NOT IN (SELECT id FROM free)
)sql";

inline std::unordered_set<DeliveryId> HeldByOthers(Transaction& transaction, DeliveryKeys&& keys) {
  const pqxx::result rows =
      transaction.Exec(kHeldByOthers, std::move(keys.ids).Close(), std::move(keys.claimed_at).Close(),
                       std::move(keys.claim_ids).Close(), std::move(keys.claims).Close());
  std::unordered_set<DeliveryId> held;
  for (const pqxx::row& row : rows) held.insert(DeliveryId(row[0].as<std::int64_t>()));
  return held;
}

// Calls `write` with a transaction and the batch; when that waits for a lock, anew and without the rows that
// somebody holds. Returns their ids.
template <class Row, class Write>
std::unordered_set<DeliveryId> WriteUnheld(Session& session, std::span<const Row> batch, const Write& write) {
  try {
    Transaction transaction(session, Transaction::kByKeysUnheld);
    write(transaction, batch);
    transaction.Commit();
    return {};
  } catch (const Unavailable& unavailable) {
    if (unavailable.sqlstate() != "55P03") throw;
  }
  Transaction transaction(session, Transaction::kByKeysUnheld);
  DeliveryKeys keys;
  for (const Row& row : batch) keys.Add(row.key);
  std::unordered_set<DeliveryId> held = HeldByOthers(transaction, std::move(keys));
  std::vector<Row> unheld;
  for (const Row& row : batch) {
    if (!held.contains(row.key.id)) unheld.push_back(row);
  }
  if (unheld.empty()) return held;
  write(transaction, std::span<const Row>(unheld));
  transaction.Commit();
  return held;
}

}  // namespace postcall::store
