#include "dispatcher/store/reports.h"

#include <cstddef>
#include <string>

#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/transaction_settings.h"

namespace postcall::store {
namespace {

constexpr const char* kDepth = R"sql(
    SELECT count(*)
      FROM (SELECT
              FROM webhook_outbox
             LIMIT $1::bigint) AS waiting
)sql";

// Reads the first row of each agent, by stepping through the index of the claim from agent to agent, and the
// first of the rows that await their analysis.
constexpr const char* kOldestAge = R"sql(
    WITH RECURSIVE first (agent_id, due_at) AS (
        (SELECT agent_id, due_at FROM webhook_outbox WHERE NOT awaits_analysis ORDER BY agent_id, due_at LIMIT 1)
      UNION ALL
        SELECT next.agent_id, next.due_at
          FROM first
         CROSS JOIN LATERAL (
                 SELECT o.agent_id, o.due_at
                   FROM webhook_outbox o
                  WHERE o.agent_id > first.agent_id AND NOT o.awaits_analysis
                  ORDER BY o.agent_id, o.due_at
                  LIMIT 1) AS next)
    SELECT coalesce(greatest(extract(epoch FROM clock_timestamp() - least(
             (SELECT min(due_at) FROM first),
             (SELECT due_at FROM webhook_outbox WHERE awaits_analysis ORDER BY due_at LIMIT 1))), 0), 0)::float8
)sql";

constexpr const char* kRecent = "SELECT * FROM webhook_recent";
constexpr const char* kUnaccounted = "SELECT unaccounted FROM webhook_reconciliation";
constexpr const char* kCloseHours = "SELECT webhook_close_hours()";

}  // namespace

OutboxSample SampleOutbox(postgres::Session& session) {
  OutboxSample sample;
  {
    postgres::Transaction transaction(session, kChore);
    sample.depth = transaction.Exec(kDepth, OutboxSample::kDepthCap)[0][0].as<std::int64_t>();
  }
  postgres::Transaction transaction(session, kChoreLookUps);
  sample.oldest_age_s = transaction.Exec(kOldestAge)[0][0].as<double>();
  return sample;
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
