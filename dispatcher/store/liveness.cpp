#include "dispatcher/store/liveness.h"

#include <unordered_set>
#include <utility>

#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/delivery_keys.h"
#include "dispatcher/store/heartbeat.h"
#include "dispatcher/store/transaction_settings.h"

namespace postcall::store {
namespace {

constexpr const char* kUnregister = "DELETE FROM webhook_dispatchers WHERE id = $1::uuid";

constexpr const char* kOthers = R"sql(
    SELECT id, instance, heartbeats, (extract(epoch FROM heartbeat_at) * 1000000)::bigint AS heartbeat_at
      FROM webhook_dispatchers
     WHERE id <> $1::uuid
)sql";

// Deletes the registration only if the heartbeat still has not moved. If another transaction is moving it
// now, the dispatcher lives.
constexpr const char* kDeclareDead = R"sql(
    DELETE FROM webhook_dispatchers
     WHERE id IN (SELECT id
                    FROM webhook_dispatchers
                   WHERE id = $1::uuid
                     AND heartbeats = $2
                     AND heartbeat_at = 'epoch'::timestamptz + $3::bigint * interval '1 microsecond'
                     FOR UPDATE SKIP LOCKED)
)sql";

// The sweeps find rows in flight by their claims, in the order of the key: no other index of the log has this
// order. They skip a row that another transaction has locked, and sweep it once it is free, by
// kOrphansBecomeUnknown if its dispatcher is dead.

constexpr const char* kTheirsBecomeUnknown = R"sql(
    WITH unlocked AS MATERIALIZED (
      SELECT theirs.claimed_at, theirs.id
        FROM webhook_claims c
       CROSS JOIN LATERAL (
               SELECT d.claimed_at, d.id
                 FROM webhook_deliveries d
                WHERE d.claimed_at = c.claimed_at
                  AND d.claim_id = c.claim_id
                  AND d.outcome = 'in_flight'
                ORDER BY d.id
                  FOR NO KEY UPDATE SKIP LOCKED) AS theirs
       WHERE c.claim_id BETWEEN $1::uuid AND $2::uuid)
    UPDATE webhook_deliveries d
       SET outcome = 'unknown',
           finished_at = clock_timestamp(),
           error = 'The dispatcher died before it recorded the outcome. The call may have arrived; it is not sent again.'
      FROM unlocked u
     WHERE d.claimed_at = u.claimed_at
       AND d.id = u.id
       AND d.outcome = 'in_flight'
    RETURNING d.id, d.cause
)sql";

constexpr const char* kOrphansBecomeUnknown = R"sql(
    WITH unlocked AS MATERIALIZED (
      SELECT theirs.claimed_at, theirs.id
        FROM webhook_claims c
       CROSS JOIN LATERAL (
               SELECT d.claimed_at, d.id
                 FROM webhook_deliveries d
                WHERE d.claimed_at = c.claimed_at
                  AND d.claim_id = c.claim_id
                  AND d.outcome = 'in_flight'
                ORDER BY d.id
                  FOR NO KEY UPDATE SKIP LOCKED) AS theirs
       WHERE c.claimed_at + interval '45 seconds' < statement_timestamp()
         AND left(c.claim_id::text, 18) NOT IN (SELECT left(w.id::text, 18) FROM webhook_dispatchers w))
    UPDATE webhook_deliveries d
       SET outcome = 'unknown',
           finished_at = clock_timestamp(),
           error = 'The dispatcher stopped before it recorded the outcome. The call may have arrived; it is not sent again.'
      FROM unlocked u
     WHERE d.claimed_at = u.claimed_at
       AND d.id = u.id
       AND d.outcome = 'in_flight'
    RETURNING d.id, d.cause
)sql";

constexpr const char* kOwnOldRows = R"sql(
    SELECT own.id, (extract(epoch FROM c.claimed_at) * 1000000)::bigint AS claimed_at, c.claim_id
      FROM webhook_claims c
     CROSS JOIN LATERAL (
             SELECT d.id
               FROM webhook_deliveries d
              WHERE d.claimed_at = c.claimed_at
                AND d.claim_id = c.claim_id
                AND d.outcome = 'in_flight'
              ORDER BY d.id) AS own
     WHERE c.claim_id BETWEEN $1::uuid AND $2::uuid
       AND c.claimed_at + interval '45 seconds' < statement_timestamp()
)sql";

constexpr const char* kOwnBecomeUnknown = R"sql(
    WITH unlocked AS MATERIALIZED (
      SELECT d.claimed_at, d.id
        FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS k (id, claimed_at, claim_id)
        JOIN webhook_deliveries d
          ON d.claimed_at = 'epoch'::timestamptz + k.claimed_at * interval '1 microsecond'
         AND d.id = k.id
       WHERE d.claim_id = k.claim_id::uuid
         AND d.outcome = 'in_flight'
         FOR NO KEY UPDATE OF d SKIP LOCKED)
    UPDATE webhook_deliveries d
       SET outcome = 'unknown',
           finished_at = clock_timestamp(),
           error = 'The dispatcher lost track of this delivery. The call may have arrived; it is not sent again.'
      FROM unlocked u
     WHERE d.claimed_at = u.claimed_at
       AND d.id = u.id
       AND d.outcome = 'in_flight'
    RETURNING d.id, d.cause
)sql";

// Forgets claims whose rows are all over. It leaves those of others to them for longer.
constexpr const char* kForgetClaims = R"sql(
    DELETE FROM webhook_claims
     WHERE claim_id = ANY (ARRAY(
             SELECT c.claim_id
               FROM webhook_claims c
              WHERE c.claimed_at + CASE WHEN c.claim_id BETWEEN $1::uuid AND $2::uuid THEN interval '11 seconds'
                                        ELSE interval '60 seconds' END < statement_timestamp()
                AND NOT EXISTS (SELECT
                                  FROM webhook_deliveries d
                                 WHERE d.claimed_at = c.claimed_at
                                   AND d.claim_id = c.claim_id
                                   AND d.outcome = 'in_flight'
                                 ORDER BY d.id
                                OFFSET 0)  -- keeps the planner from leaving out the order
              LIMIT 10000))
)sql";

constexpr const char* kOpenClaims = "SELECT EXISTS (SELECT FROM webhook_claims)";

std::vector<Swept> SweptOf(const pqxx::result& rows) {
  std::vector<Swept> swept;
  for (const pqxx::row& row : rows) {
    swept.push_back({DeliveryId(row[0].as<std::int64_t>()), CauseFrom(postgres::TextOf(row[1])).value()});
  }
  return swept;
}

}  // namespace

bool SendHeartbeat(postgres::Session& session, const DispatcherId& dispatcher, const std::string& instance) {
  postgres::Transaction transaction(session, kLookUps);
  const bool registered = MoveHeartbeat(transaction, dispatcher, instance);
  transaction.Commit();
  return registered;
}

void Unregister(postgres::Session& session, const DispatcherId& dispatcher) {
  postgres::Transaction transaction(session, kLookUps);
  transaction.Exec(kUnregister, dispatcher.get().ToString());
  transaction.Commit();
}

Observer::Observer(const DispatcherId& self, Clock clock) : self_(self), clock_(std::move(clock)) {}

std::vector<DeadDispatcher> Observer::Look(postgres::Session& session) {
  std::vector<DeadDispatcher> dead;
  struct Suspect {
    DispatcherId dispatcher;
    std::string instance;
    Sight sight;
  };
  std::vector<Suspect> suspects;

  const SteadyTime before = clock_();
  {
    postgres::Transaction transaction(session, kLookUps);
    const pqxx::result others = transaction.Exec(kOthers, self_.get().ToString());
    const SteadyTime after = clock_();
    if (session.connection_number() != connection_ || before - last_look_ > kLookAtLeastEvery)
      sights_.clear();
    connection_ = session.connection_number();
    last_look_ = after;

    std::unordered_map<DispatcherId, Sight> now;
    for (const pqxx::row& row : others) {
      const DispatcherId id = DispatcherId(Uuid::Parse(postgres::TextOf(row[0])));
      Sight sight{.heartbeats = row[2].as<std::int64_t>(),
                  .heartbeat_at = postgres::MomentOf(row[3]),
                  .since = after};
      const auto seen = sights_.find(id);
      if (seen != sights_.end() && seen->second.heartbeats == sight.heartbeats &&
          seen->second.heartbeat_at == sight.heartbeat_at) {
        sight.since = seen->second.since;
        // `before`: it may have moved while we waited for the answer, but it had not at the time we asked.
        if (before - sight.since >= kDeadAfter) suspects.push_back({id, row[1].c_str(), sight});
      }
      now.emplace(id, sight);
    }
    sights_ = std::move(now);
  }

  for (const Suspect& suspect : suspects) {
    // In one transaction: for every reader, a dispatcher without a registration has no row in flight.
    postgres::Transaction transaction(session, kLookUps);
    const pqxx::result deleted =
        transaction.Exec(kDeclareDead, suspect.dispatcher.get().ToString(), suspect.sight.heartbeats,
                         postgres::ToMicroseconds(suspect.sight.heartbeat_at));
    if (deleted.affected_rows() == 0) continue;
    const auto [first, last] = ClaimId::RangeOf(suspect.dispatcher);
    const pqxx::result unknown =
        transaction.Exec(kTheirsBecomeUnknown, first.get().ToString(), last.get().ToString());
    transaction.Commit();
    dead.push_back({suspect.dispatcher, suspect.instance, SweptOf(unknown)});
  }
  return dead;
}

bool ClaimsAreOpen(postgres::Session& session) {
  return postgres::Transaction::ExecAlone(session, kLookUps, kOpenClaims)[0][0].as<bool>();
}

std::vector<Swept> SweepOrphans(postgres::Session& session) {
  postgres::Transaction transaction(session, kLookUps);
  const pqxx::result unknown = transaction.Exec(kOrphansBecomeUnknown);
  transaction.Commit();
  return SweptOf(unknown);
}

std::vector<Swept> SweepOwn(postgres::Session& session, const DispatcherId& dispatcher,
                            std::span<const DeliveryId> held) {
  postgres::Transaction transaction(session, kLookUps);
  const auto [first, last] = ClaimId::RangeOf(dispatcher);
  const pqxx::result old = transaction.Exec(kOwnOldRows, first.get().ToString(), last.get().ToString());
  if (old.empty()) return {};

  const std::unordered_set<DeliveryId> still_held(held.begin(), held.end());
  DeliveryKeys lost;
  for (const pqxx::row& row : old) {
    const DeliveryId id(row[0].as<std::int64_t>());
    if (still_held.contains(id)) continue;
    lost.Add({.id = id,
              .claimed_at = postgres::MomentOf(row[1]),
              .claim_id = ClaimId(Uuid::Parse(postgres::TextOf(row[2])))});
  }
  const pqxx::result unknown =
      transaction.Exec(kOwnBecomeUnknown, std::move(lost.ids).Close(), std::move(lost.claimed_at).Close(),
                       std::move(lost.claim_ids).Close());
  transaction.Commit();
  return SweptOf(unknown);
}

int ForgetClaims(postgres::Session& session, const DispatcherId& dispatcher) {
  postgres::Transaction transaction(session, kChoreLookUps);
  const auto [first, last] = ClaimId::RangeOf(dispatcher);
  const pqxx::result forgotten =
      transaction.Exec(kForgetClaims, first.get().ToString(), last.get().ToString());
  transaction.Commit();
  return static_cast<int>(forgotten.affected_rows());
}

}  // namespace postcall::store
