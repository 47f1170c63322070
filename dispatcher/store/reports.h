// Samples for the gauges, and the closing of hours that keeps reconciliation cheap (CONTRACT §4, §8).
// Blocks; on the thread that owns the session.
#pragma once

#include <array>
#include <cstdint>

#include "dispatcher/postgres/database.h"
#include "schema/decline_reason.h"

namespace postcall::store {

struct OutboxSample {
  static constexpr std::int64_t kDepthCap = 100'000;
  std::int64_t depth = 0;   // at most kDepthCap
  double oldest_age_s = 0;  // since the earliest due_at that has passed; 0 when nothing is due
};
OutboxSample SampleOutbox(postgres::Session& session);

// Calls that were decided in the last five minutes.
struct RecentSample {
  std::int64_t enqueued = 0;
  std::array<std::int64_t, kDeclineReasons.size()> declined{};  // in the order of kDeclineReasons
};
RecentSample SampleRecent(postgres::Session& session);

// `unaccounted` of webhook_reconciliation: completions that are neither waiting, in flight nor ended.
std::int64_t SampleUnaccounted(postgres::Session& session);

// Sums up hours that are over, so that reconciliation reads only the open ones. Returns how many.
int CloseHours(postgres::Session& session);

}  // namespace postcall::store
