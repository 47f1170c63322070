#include "dispatcher/store/reports.h"

#include <cstddef>
#include <string>

#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/transaction_settings.h"

namespace postcall::store {
namespace {

// Reads the whole table, whatever the cap, and no index: a scan passes dead rows, which an open report keeps,
// many times as fast.
constexpr const char* kWaiting = R"sql(
    SELECT least(count(*), $1::bigint) AS depth,
           coalesce(greatest(extract(epoch FROM clock_timestamp() - min(due_at)), 0), 0)::float8 AS oldest_age
      FROM webhook_outbox
)sql";

constexpr const char* kRecent = "SELECT * FROM webhook_recent";
constexpr const char* kUnaccounted = "SELECT unaccounted FROM webhook_reconciliation";
constexpr const char* kCloseHours = "SELECT webhook_close_hours()";

}  // namespace

OutboxSample SampleOutbox(postgres::Session& session) {
  postgres::Transaction transaction(session, kChoreScan);
  const pqxx::row row = transaction.Exec(kWaiting, OutboxSample::kDepthCap)[0];
  return {row["depth"].as<std::int64_t>(), row["oldest_age"].as<double>()};
}

RecentSample SampleRecent(postgres::Session& session) {
  postgres::Transaction transaction(session, kChoreLookUps);
  const pqxx::result rows = transaction.Exec(kRecent);
  RecentSample sample{.enqueued = rows[0]["enqueued"].as<std::int64_t>()};
  for (std::size_t i = 0; i < kDeclineReasons.size(); ++i) {
    sample.declined[i] = rows[0][std::string(ToString(kDeclineReasons[i]))].as<std::int64_t>();
  }
  return sample;
}

std::int64_t SampleUnaccounted(postgres::Session& session) {
  postgres::Transaction transaction(session, kChore);
  return transaction.Exec(kUnaccounted)[0][0].as<std::int64_t>();
}

int CloseHours(postgres::Session& session) {
  postgres::Transaction transaction(session, kChore);
  const int closed = transaction.Exec(kCloseHours)[0][0].as<int>();
  transaction.Commit();
  return closed;
}

}  // namespace postcall::store
