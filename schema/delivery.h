// One delivery in the log: the key of the row that the claim wrote, and the result that completes the row
// (CONTRACT §4). Any thread; value types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/clock.h"
#include "schema/ids.h"
#include "schema/outcome.h"

namespace postcall {

// The row's identity and its claim. Every later write is conditional on all three, so that a late dispatcher
// can never overwrite a row that is no longer its own.
struct DeliveryKey {
  DeliveryId id;
  DatabaseTime claimed_at;
  ClaimId claim_id;
};

// Each phase's own time in milliseconds; no value when the phase did not happen. `total` is from start to
// end.
struct PhaseTimes {
  std::optional<double> lookup;
  std::optional<double> connect;
  std::optional<double> tls;
  std::optional<double> first_byte;
  double total = 0;
};

// How a delivery ended; one completed row of the log.
struct DeliveryResult {
  Outcome outcome = Outcome::kUnknown;
  std::optional<Reached> reached;
  std::optional<int> http_status;  // of the final response, when there was one
  std::string error;               // one sentence for a person; empty when delivered
  std::string response_body;       // the first bytes, unchanged
  bool response_truncated = false;
  std::string remote_address;  // of the peer, numeric; empty when no connection was made
  std::optional<bool> connection_reused;
  std::optional<DatabaseTime> certificate_ends_at;
  std::int64_t request_bytes = 0;  // of the bodies
  std::int64_t response_bytes = 0;
  PhaseTimes times;
};

}  // namespace postcall
