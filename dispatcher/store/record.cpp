#include "dispatcher/store/record.h"

#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>

#include "common/log.h"
#include "dispatcher/postgres/sqlstate.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/delivery_keys.h"
#include "dispatcher/store/halves.h"
#include "dispatcher/store/locked_rows.h"

namespace postcall::store {
namespace {

// Completes the rows whose outcome is $1 so far. The key has the claim's id, so a row that was claimed again
// since is not changed.
constexpr const char* kRecord = R"sql(
    UPDATE webhook_deliveries d
       SET outcome             = r.outcome,
           reached             = r.reached,
           http_status         = r.http_status,
           error               = r.error,
           response_body       = r.response_body,
           response_truncated  = r.response_truncated,
           remote_address      = r.remote_address,
           connection_reused   = r.connection_reused,
           certificate_ends_at = 'epoch'::timestamptz + r.certificate_ends_at * interval '1 microsecond',
           request_bytes       = r.request_bytes,
           response_bytes      = r.response_bytes,
           finished_at         = 'epoch'::timestamptz + r.finished_at * interval '1 microsecond',
           lookup_ms           = r.lookup_ms,
           connect_ms          = r.connect_ms,
           tls_ms              = r.tls_ms,
           first_byte_ms       = r.first_byte_ms,
           total_ms            = r.total_ms
      FROM unnest($2::bigint[], $3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::int[], $8::text[], $9::text[],
                  $10::boolean[], $11::inet[], $12::boolean[], $13::bigint[], $14::bigint[], $15::bigint[],
                  $16::bigint[], $17::real[], $18::real[], $19::real[], $20::real[], $21::real[])
           AS r (id, claimed_at, claim_id, outcome, reached, http_status, error, response_body,
                 response_truncated, remote_address, connection_reused, certificate_ends_at, request_bytes,
                 response_bytes, finished_at, lookup_ms, connect_ms, tls_ms, first_byte_ms, total_ms)
     WHERE d.claimed_at = 'epoch'::timestamptz + r.claimed_at * interval '1 microsecond'
       AND d.claimed_at = ANY ($22::timestamptz[])
       AND d.id = r.id
       AND d.claim_id = r.claim_id
       AND d.outcome = $1
    RETURNING d.id, (extract(epoch FROM d.enqueued_at) * 1000000)::bigint AS enqueued_at
)sql";

// Deletes the sums of the hours in which these were enqueued, so that they are made again. `final` sums stay.
constexpr const char* kReopenHours = R"sql(
    DELETE FROM webhook_summary
     WHERE NOT final
       AND hour IN (SELECT date_trunc('hour', 'epoch'::timestamptz + moment * interval '1 microsecond', 'UTC')
                      FROM unnest($1::bigint[]) AS moment)
)sql";

pqxx::result Complete(postgres::Transaction& transaction, Outcome before, std::span<const Finished> batch) {
  DeliveryKeys keys;
  postgres::ArrayLiteral outcome, reached, http_status, error, response_body, response_truncated,
      remote_address, connection_reused, certificate_ends_at, request_bytes, response_bytes, finished_at,
      lookup_ms, connect_ms, tls_ms, first_byte_ms, total_ms;
  for (const Finished& finished : batch) {
    const DeliveryResult& result = finished.result;
    keys.Add(finished.key);
    outcome.Add(ToString(result.outcome));
    if (result.reached) {
      reached.Add(ToString(*result.reached));
    } else {
      reached.AddNull();
    }
    http_status.Add(result.http_status);
    if (result.outcome == Outcome::kDelivered) {
      error.AddNull();
    } else {
      error.Add(result.error);  // never NULL: by it, webhook_failures knows what failed
    }
    response_body.AddUnlessEmpty(result.response_body);
    response_truncated.Add(result.response_truncated);
    remote_address.AddUnlessEmpty(result.remote_address);
    connection_reused.Add(result.connection_reused);
    if (result.certificate_ends_at) {
      certificate_ends_at.Add(postgres::ToMicroseconds(*result.certificate_ends_at));
    } else {
      certificate_ends_at.AddNull();
    }
    request_bytes.Add(result.request_bytes);
    response_bytes.Add(result.response_bytes);
    finished_at.Add(postgres::ToMicroseconds(finished.finished_at));
    lookup_ms.Add(result.times.lookup);
    connect_ms.Add(result.times.connect);
    tls_ms.Add(result.times.tls);
    first_byte_ms.Add(result.times.first_byte);
    total_ms.Add(result.times.total);
  }
  return transaction.ExecPrepared(
      kRecord, std::string(ToString(before)), std::move(keys.ids).Close(), std::move(keys.claimed_at).Close(),
      std::move(keys.claim_ids).Close(), std::move(outcome).Close(), std::move(reached).Close(),
      std::move(http_status).Close(), std::move(error).Close(), std::move(response_body).Close(),
      std::move(response_truncated).Close(), std::move(remote_address).Close(),
      std::move(connection_reused).Close(), std::move(certificate_ends_at).Close(),
      std::move(request_bytes).Close(), std::move(response_bytes).Close(), std::move(finished_at).Close(),
      std::move(lookup_ms).Close(), std::move(connect_ms).Close(), std::move(tls_ms).Close(),
      std::move(first_byte_ms).Close(), std::move(total_ms).Close(), std::move(keys.claims).Close());
}

// The outcomes of `batch` that `rows` does not name.
std::vector<Finished> Missing(std::span<const Finished> batch, const pqxx::result& rows) {
  std::unordered_set<std::int64_t> written;
  for (const pqxx::row& row : rows) written.insert(row[0].as<std::int64_t>());
  std::vector<Finished> missing;
  for (const Finished& finished : batch) {
    if (!written.contains(finished.key.id.get())) missing.push_back(finished);
  }
  return missing;
}

Recorded Write(postgres::Transaction& transaction, std::span<const Finished> batch) {
  const pqxx::result in_time = Complete(transaction, Outcome::kInFlight, batch);
  if (static_cast<std::size_t>(in_time.size()) == batch.size()) return {};
  const std::vector<Finished> rest = Missing(batch, in_time);
  const pqxx::result late = Complete(transaction, Outcome::kUnknown, rest);
  if (!late.empty()) {
    postgres::ArrayLiteral enqueued_at;
    for (const pqxx::row& row : late) enqueued_at.Add(row[1].as<std::int64_t>());
    transaction.Exec(kReopenHours, std::move(enqueued_at).Close());
  }
  Recorded recorded;
  recorded.unknown_resolved = static_cast<int>(late.size());
  for (const Finished& lost : Missing(rest, late)) recorded.lost.push_back(lost.key.id);
  return recorded;
}

void RecordWhole(postgres::Session& session, std::span<const Finished> batch, Recorded& recorded) {
  Recorded part;
  std::unordered_set<DeliveryId> locked = WriteUnlocked(
      session, batch, [&](postgres::Transaction& transaction, std::span<const Finished> unlocked) {
        part = Write(transaction, unlocked);
      });
  recorded.unknown_resolved += part.unknown_resolved;
  recorded.lost.insert(recorded.lost.end(), part.lost.begin(), part.lost.end());
  recorded.locked.merge(locked);
}

// The same outcome without anything that came from outside.
Finished WithoutText(const Finished& finished) {
  Finished bare = finished;
  bare.result.response_body.clear();
  bare.result.remote_address.clear();
  bare.result.certificate_ends_at.reset();
  if (!bare.result.error.empty()) bare.result.error = "The database refused the description of this error.";
  return bare;
}

void RecordWithoutText(postgres::Session& session, const Finished& finished, const postgres::Refused& refused,
                       Recorded& recorded) {
  const DeliveryId id = finished.key.id;
  const Finished bare = WithoutText(finished);
  try {
    RecordWhole(session, std::span(&bare, 1), recorded);
  } catch (const postgres::Refused& again) {
    if (!IsAboutRows(again)) throw;
    recorded.refused.push_back(id);
    log::Error(
        "the database refused an outcome, its row will become unknown",
        {{"delivery", id.get()}, {"outcome", ToString(finished.result.outcome)}, {"error", again.what()}});
    return;
  }
  if (recorded.locked.contains(id)) return;
  recorded.text_replaced.push_back(id);
  log::Warning("the database refused the text of an outcome, the outcome is recorded without it",
               {{"delivery", id.get()}, {"error", refused.what()}});
}

}  // namespace

Recorded Record(postgres::Session& session, std::span<const Finished> batch) {
  Recorded recorded;
  WriteOrHalve(
      batch, [&](std::span<const Finished> part) { RecordWhole(session, part, recorded); },
      [&](const Finished& finished, const postgres::Refused& refused) {
        if (postgres::IsDamage(refused.sqlstate())) {
          log::Error("recording an outcome failed because its row is damaged, retrying later",
                     {{"delivery", finished.key.id.get()}, {"error", refused.what()}});
          recorded.locked.insert(finished.key.id);  // the outcome is kept, because the row may be fixed
        } else {
          RecordWithoutText(session, finished, refused, recorded);
        }
      });
  return recorded;
}

}  // namespace postcall::store
