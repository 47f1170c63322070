#include "dispatcher/store/liveness.h"

#include <unordered_set>
#include <utility>

#include "dispatcher/store/delivery_keys.h"
#include "dispatcher/store/heartbeat.h"
#include "dispatcher/store/transaction.h"

namespace postcall::store {
namespace {

constexpr const char* kUnregister = "DELETE FROM webhook_dispatchers WHERE id = $1::uuid";

constexpr const char* kOthers = R"sql(
    SELECT id, instance, beats, (extract(epoch FROM beat_at) * 1000000)::bigint AS beat_at
      FROM webhook_dispatchers
     WHERE id <> $1::uuid
)sql";

// Only if it still has not moved; one that is being moved at this moment lives.
constexpr const char* kTakeOffTheList = R"sql(
    DELETE FROM webhook_dispatchers
     WHERE id IN (SELECT id
                    FROM webhook_dispatchers
                   WHERE id = $1::uuid
                     AND beats = $2
                     AND beat_at = 'epoch'::timestamptz + $3::bigint * interval '1 microsecond'
                     FOR UPDATE SKIP LOCKED)
)sql";

// The sweeps pass a row that somebody holds, so that it keeps no other from becoming `unknown`; it is swept
// once it is free, by kOrphansBecomeUnknown if it was a gone dispatcher's.

constexpr const char* kTheirsBecomeUnknown = R"sql(
    WITH unheld AS MATERIALIZED (
      SELECT claimed_at, id
        FROM webhook_deliveries
       WHERE outcome = 'in_flight'
         AND claim_id BETWEEN $1::uuid AND $2::uuid
         FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE webhook_deliveries d
       SET outcome = 'unknown',
           finished_at = clock_timestamp(),
           error = 'The dispatcher was gone before it recorded the outcome. The call may have arrived; it is not sent again.'
      FROM unheld u
     WHERE d.claimed_at = u.claimed_at
       AND d.id = u.id
       AND d.outcome = 'in_flight'
    RETURNING d.id, d.cause
)sql";

constexpr const char* kOrphansBecomeUnknown = R"sql(
    WITH unheld AS MATERIALIZED (
      SELECT claimed_at, id
        FROM webhook_deliveries o
       WHERE outcome = 'in_flight'
         AND claimed_at < statement_timestamp() - interval '45 seconds'
         AND NOT EXISTS (SELECT
                           FROM webhook_dispatchers w
                          WHERE left(w.id::text, 18) = left(o.claim_id::text, 18))
         FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE webhook_deliveries d
       SET outcome = 'unknown',
           finished_at = clock_timestamp(),
           error = 'The dispatcher left before it recorded the outcome. The call may have arrived; it is not sent again.'
      FROM unheld u
     WHERE d.claimed_at = u.claimed_at
       AND d.id = u.id
       AND d.outcome = 'in_flight'
    RETURNING d.id, d.cause
)sql";

constexpr const char* kOwnOldRows = R"sql(
    SELECT id, (extract(epoch FROM claimed_at) * 1000000)::bigint AS claimed_at, claim_id
      FROM webhook_deliveries
     WHERE outcome = 'in_flight'
       AND claim_id BETWEEN $1::uuid AND $2::uuid
       AND claimed_at < statement_timestamp() - interval '45 seconds'
)sql";

constexpr const char* kOwnBecomeUnknown = R"sql(
    WITH unheld AS MATERIALIZED (
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
      FROM unheld u
     WHERE d.claimed_at = u.claimed_at
       AND d.id = u.id
       AND d.outcome = 'in_flight'
    RETURNING d.id, d.cause
)sql";

// The first and the last claim that a dispatcher can make: all begin with its first eight bytes.
std::pair<std::string, std::string> ClaimsOf(const DispatcherId& dispatcher) {
  Uuid first = dispatcher.get();
  Uuid last = dispatcher.get();
  for (std::size_t i = 8; i < first.bytes.size(); ++i) {
    first.bytes[i] = 0x00;
    last.bytes[i] = 0xFF;
  }
  return {first.ToString(), last.ToString()};
}

std::vector<Swept> SweptOf(const pqxx::result& rows) {
  std::vector<Swept> swept;
  for (const pqxx::row& row : rows) {
    swept.push_back({DeliveryId(row[0].as<std::int64_t>()), CauseFrom(TextOf(row[1])).value()});
  }
  return swept;
}

DispatcherId DispatcherIdOf(std::string_view text) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };  // as uuid prints them
  Uuid uuid;
  std::size_t nibble = 0;
  for (const char c : text) {
    if (c == '-') continue;
    std::uint8_t& byte = uuid.bytes.at(nibble / 2);
    byte = static_cast<std::uint8_t>(byte * 16 + value(c));
    ++nibble;
  }
  return DispatcherId(uuid);
}

}  // namespace

bool Beat(Session& session, const DispatcherId& dispatcher, const std::string& instance) {
  Transaction transaction(session, Transaction::kLookUps);
  const Heartbeat heartbeat = MoveHeartbeat(transaction, dispatcher, instance);
  transaction.Commit();
  return heartbeat.registered;
}

void Unregister(Session& session, const DispatcherId& dispatcher) {
  Transaction transaction(session, Transaction::kLookUps);
  transaction.Exec(kUnregister, dispatcher.get().ToString());
  transaction.Commit();
}

Observer::Observer(const DispatcherId& self, Clock clock) : self_(self), clock_(std::move(clock)) {}

std::vector<Gone> Observer::Look(Session& session) {
  std::vector<Gone> gone;
  struct Suspect {
    DispatcherId dispatcher;
    std::string instance;
    Sight sight;
  };
  std::vector<Suspect> suspects;

  const SteadyTime before = clock_();
  {
    Transaction transaction(session, Transaction::kLookUps);
    const pqxx::result others = transaction.Exec(kOthers, self_.get().ToString());
    const SteadyTime after = clock_();
    if (session.connection_number() != connection_ || before - last_look_ > kLookAtLeastEvery)
      sights_.clear();
    connection_ = session.connection_number();
    last_look_ = after;

    std::unordered_map<DispatcherId, Sight> now;
    for (const pqxx::row& row : others) {
      const DispatcherId id = DispatcherIdOf(TextOf(row[0]));
      Sight sight{.beats = row[2].as<std::int64_t>(), .beat_at = MomentOf(row[3]), .since = after};
      const auto seen = sights_.find(id);
      if (seen != sights_.end() && seen->second.beats == sight.beats &&
          seen->second.beat_at == sight.beat_at) {
        sight.since = seen->second.since;
        // `before`: it may have moved while we waited for the answer, but it had not at the time we asked.
        if (before - sight.since >= kGoneAfter) suspects.push_back({id, row[1].c_str(), sight});
      }
      now.emplace(id, sight);
    }
    sights_ = std::move(now);
  }

  for (const Suspect& suspect : suspects) {
    // One transaction: who sees that the dispatcher is off the list sees its rows unknown.
    Transaction transaction(session, Transaction::kLookUps);
    const pqxx::result taken_off =
        transaction.Exec(kTakeOffTheList, suspect.dispatcher.get().ToString(), suspect.sight.beats,
                         ToMicroseconds(suspect.sight.beat_at));
    if (taken_off.affected_rows() == 0) continue;
    const auto [first, last] = ClaimsOf(suspect.dispatcher);
    const pqxx::result unknown = transaction.Exec(kTheirsBecomeUnknown, first, last);
    transaction.Commit();
    gone.push_back({suspect.dispatcher, suspect.instance, SweptOf(unknown)});
  }
  return gone;
}

std::vector<Swept> SweepOrphans(Session& session) {
  Transaction transaction(session, Transaction::kLookUps);
  const pqxx::result unknown = transaction.Exec(kOrphansBecomeUnknown);
  transaction.Commit();
  return SweptOf(unknown);
}

std::vector<Swept> SweepOwn(Session& session, const DispatcherId& dispatcher,
                            std::span<const DeliveryId> held) {
  Transaction transaction(session, Transaction::kLookUps);
  const auto [first, last] = ClaimsOf(dispatcher);
  const pqxx::result old = transaction.Exec(kOwnOldRows, first, last);
  if (old.empty()) return {};

  const std::unordered_set<DeliveryId> still_held(held.begin(), held.end());
  ArrayLiteral ids, claimed_at, claim_ids;
  for (const pqxx::row& row : old) {
    if (still_held.contains(DeliveryId(row[0].as<std::int64_t>()))) continue;
    ids.Add(row[0].as<std::int64_t>());
    claimed_at.Add(row[1].as<std::int64_t>());
    claim_ids.Add(TextOf(row[2]));
  }
  const pqxx::result unknown = transaction.Exec(kOwnBecomeUnknown, std::move(ids).Close(),
                                                std::move(claimed_at).Close(), std::move(claim_ids).Close());
  transaction.Commit();
  return SweptOf(unknown);
}

}  // namespace postcall::store
