// Samples for the gauges, and the closing of hours that keeps reconciliation cheap (CONTRACT §4, §8).
// Blocks; on the thread that owns the session.
#pragma once

#include <cstdint>

#include "dispatcher/store/database.h"

namespace postcall::store {

struct OutboxSample {
  static constexpr std::int64_t kDepthCap = 100'000;
  std::int64_t depth = 0;   // at most kDepthCap
  double oldest_age_s = 0;  // since the earliest due_at that has passed; 0 when nothing is due
};
OutboxSample SampleOutbox(Session& session);

// `unaccounted` of webhook_reconciliation: completions that are neither waiting, in flight nor ended.
std::int64_t SampleUnaccounted(Session& session);

// Sums up hours that are over, so that reconciliation reads only the open ones. Returns how many.
int CloseHours(Session& session);

}  // namespace postcall::store
