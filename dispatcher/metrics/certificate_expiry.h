// When the latest TLS certificate of each endpoint ends, for endpoints seen in the last day. It warns the
// operator of the soonest end, before deliveries to that endpoint end as `tls_error` (CONTRACT §8). Any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "common/clock.h"
#include "common/mutex.h"

namespace postcall::metrics {

class CertificateExpiry {
 public:
  struct Sample {
    std::optional<DatabaseTime> soonest;  // in the future; no value when no such certificate is known
    std::size_t expired = 0;              // endpoints whose certificate has ended
  };

  // Memory is bounded: at most `capacity` endpoints are kept, those whose certificates end soonest.
  explicit CertificateExpiry(std::size_t capacity = 20'000) : capacity_(capacity) {}

  // The endpoint (scheme, host and port) showed a certificate that ends at `ends_at`. A later call replaces
  // an earlier one, so a renewed certificate ends the warning.
  void Note(std::string_view endpoint, DatabaseTime ends_at, SteadyTime now);

  // Counts the endpoints seen in the day before `now`. `clock` is the wall clock at that moment.
  Sample Look(SteadyTime now, DatabaseTime clock);

 private:
  using EndpointHash = std::uint64_t;
  struct Seen {
    DatabaseTime ends_at;
    SteadyTime at;
  };

  void Remove(EndpointHash endpoint) REQUIRES(mutex_);

  const std::size_t capacity_;
  Mutex mutex_;
  std::unordered_map<EndpointHash, Seen> endpoints_ GUARDED_BY(mutex_);
  std::set<std::pair<DatabaseTime, EndpointHash>> by_end_ GUARDED_BY(mutex_);
};

}  // namespace postcall::metrics
