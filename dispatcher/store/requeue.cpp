#include "dispatcher/store/requeue.h"

#include <cstdint>
#include <utility>

#include "common/log.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/delivery_keys.h"
#include "dispatcher/store/halves.h"
#include "dispatcher/store/locked_rows.h"

namespace postcall::store {
namespace {

constexpr const char* kRequeue = R"sql(
    WITH requeued AS (
      DELETE FROM webhook_deliveries d
       USING unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::int[]) AS k (id, claimed_at, claim_id, requeues)
       WHERE d.claimed_at = 'epoch'::timestamptz + k.claimed_at * interval '1 microsecond'
         AND d.claimed_at = ANY ($5::timestamptz[])
         AND d.id = k.id
         AND d.claim_id = k.claim_id
         AND d.outcome = 'in_flight'
      RETURNING d.id, d.call_id, d.agent_id, d.cause, d.enqueued_at, d.due_at, k.requeues),
      queued AS (
      INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at, requeues)
      SELECT call_id, agent_id, cause, enqueued_at, due_at, requeues
        FROM requeued)
    SELECT id FROM requeued
)sql";

pqxx::result Write(postgres::Transaction& transaction, std::span<const ToRequeue> batch) {
  DeliveryKeys keys;
  postgres::ArrayLiteral requeues;
  for (const ToRequeue& row : batch) {
    keys.Add(row.key);
    requeues.Add(row.requeues);
  }
  return transaction.Exec(kRequeue, std::move(keys.ids).Close(), std::move(keys.claimed_at).Close(),
                          std::move(keys.claim_ids).Close(), std::move(requeues).Close(),
                          std::move(keys.claims).Close());
}

}  // namespace

Requeued Requeue(postgres::Session& session, std::span<const ToRequeue> batch) {
  Requeued requeued;
  std::unordered_set<DeliveryId> in_outbox;
  WriteOrHalve(
      batch,
      [&](std::span<const ToRequeue> part) {
        pqxx::result rows;
        requeued.locked.merge(WriteUnlocked(
            session, part, [&](postgres::Transaction& transaction, std::span<const ToRequeue> unlocked) {
              rows = Write(transaction, unlocked);
            }));
        for (const pqxx::row& moved : rows) in_outbox.insert(DeliveryId(moved[0].as<std::int64_t>()));
      },
      [](const ToRequeue& row, const postgres::Refused& refused) {
        log::Error("requeueing a delivery failed, it is recorded as not_sent",
                   {{"delivery", row.key.id.get()}, {"error", refused.what()}});
      });
  for (const ToRequeue& row : batch) {
    const DeliveryId id = row.key.id;
    if (!in_outbox.contains(id) && !requeued.locked.contains(id)) requeued.not_requeued.push_back(id);
  }
  return requeued;
}

}  // namespace postcall::store
