#include "dispatcher/store/give_back.h"

#include "common/log.h"
#include "dispatcher/store/delivery_keys.h"
#include "dispatcher/store/halves.h"
#include "dispatcher/store/held_rows.h"
#include "dispatcher/store/transaction.h"

namespace postcall::store {
namespace {

constexpr const char* kGiveBack = R"sql(
    WITH back AS (
      DELETE FROM webhook_deliveries d
       USING unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::int[]) AS k (id, claimed_at, claim_id, returns)
       WHERE d.claimed_at = 'epoch'::timestamptz + k.claimed_at * interval '1 microsecond'
         AND d.claimed_at = ANY ($5::timestamptz[])
         AND d.id = k.id
         AND d.claim_id = k.claim_id
         AND d.outcome = 'in_flight'
      RETURNING d.id, d.call_id, d.agent_id, d.cause, d.enqueued_at, d.due_at, k.returns)
    INSERT INTO webhook_outbox (id, call_id, agent_id, cause, enqueued_at, due_at, returns)
    SELECT id, call_id, agent_id, cause, enqueued_at, due_at, returns
      FROM back
    RETURNING id
)sql";

pqxx::result Write(Transaction& transaction, std::span<const Returned> batch) {
  DeliveryKeys keys;
  ArrayLiteral returns;
  for (const Returned& returned : batch) {
    keys.Add(returned.key);
    returns.Add(returned.returns);
  }
  return transaction.Exec(kGiveBack, std::move(keys.ids).Close(), std::move(keys.claimed_at).Close(),
                          std::move(keys.claim_ids).Close(), std::move(returns).Close(),
                          std::move(keys.claims).Close());
}

}  // namespace

GivenBack GiveBack(Session& session, std::span<const Returned> batch) {
  GivenBack given_back;
  std::unordered_set<DeliveryId> back;
  WriteOrHalve(
      batch,
      [&](std::span<const Returned> part) {
        pqxx::result rows;
        given_back.held.merge(
            WriteUnheld(session, part, [&](Transaction& transaction, std::span<const Returned> unheld) {
              rows = Write(transaction, unheld);
            }));
        for (const pqxx::row& row : rows) back.insert(DeliveryId(row[0].as<std::int64_t>()));
      },
      [](const Returned& returned, const Refused& refused) {
        log::Error("a delivery could not be given back to the outbox",
                   {{"delivery", returned.key.id.get()}, {"error", refused.what()}});
      });
  for (const Returned& returned : batch) {
    const DeliveryId id = returned.key.id;
    if (!back.contains(id) && !given_back.held.contains(id)) given_back.not_back.push_back(id);
  }
  return given_back;
}

}  // namespace postcall::store
