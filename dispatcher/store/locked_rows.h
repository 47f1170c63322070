// Writes a batch to the log without the rows that another transaction has locked. Used only in this room; on
// the thread that owns the session.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "dispatcher/postgres/sqlstate.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/delivery_keys.h"
#include "dispatcher/store/transaction_settings.h"
#include "schema/ids.h"

namespace postcall::store {

// The rows of the batch that are not over and that another transaction has locked; this transaction locks
// the others, FOR UPDATE because requeueing deletes them. Throws Unavailable when the whole table is locked.
constexpr const char* kLockedByOthers = R"sql(
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
         AND d.id IN (SELECT id FROM keys)
         FOR UPDATE OF d SKIP LOCKED)
    SELECT id FROM keys WHERE id NOT IN (SELECT id FROM free)
)sql";

inline std::unordered_set<DeliveryId> LockedByOthers(postgres::Transaction& transaction,
                                                     DeliveryKeys&& keys) {
  const pqxx::result rows =
      transaction.Exec(kLockedByOthers, std::move(keys.ids).Close(), std::move(keys.claimed_at).Close(),
                       std::move(keys.claim_ids).Close(), std::move(keys.claims).Close());
  std::unordered_set<DeliveryId> locked;
  for (const pqxx::row& row : rows) locked.insert(DeliveryId(row[0].as<std::int64_t>()));
  return locked;
}

// Calls `write` with a transaction and the batch. If that waits too long for a lock, it calls `write` once
// more, without the rows that another transaction has locked, and returns their ids.
template <class Row, class Write>
std::unordered_set<DeliveryId> WriteUnlocked(postgres::Session& session, std::span<const Row> batch,
                                             const Write& write) {
  try {
    postgres::Transaction transaction(session, kByKeysUnlocked);
    write(transaction, batch);
    transaction.Commit();
    return {};
  } catch (const postgres::Unavailable& unavailable) {
    if (!postgres::IsLockNotAvailable(unavailable.sqlstate())) throw;
  }
  postgres::Transaction transaction(session, kByKeysUnlocked);
  DeliveryKeys keys;
  for (const Row& row : batch) keys.Add(row.key);
  std::unordered_set<DeliveryId> locked = LockedByOthers(transaction, std::move(keys));
  std::vector<Row> unlocked;
  for (const Row& row : batch) {
    if (!locked.contains(row.key.id)) unlocked.push_back(row);
  }
  if (unlocked.empty()) return locked;
  write(transaction, std::span<const Row>(unlocked));
  transaction.Commit();
  return locked;
}

}  // namespace postcall::store
