// The soonest end of a TLS certificate among the endpoints seen in the last day: what an operator is warned
// of before deliveries to that endpoint end as `tls_error` (CONTRACT §8). Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "common/clock.h"

namespace postcall::metrics {

class CertificateExpiry {
 public:
  // Memory is bounded: at most `capacity` endpoints are kept, those whose certificates end soonest.
  explicit CertificateExpiry(std::size_t capacity = 20'000) : capacity_(capacity) {}

  // The endpoint (scheme, host and port) showed a certificate that ends at `ends_at`. A later note replaces
  // an earlier one, so that a renewed certificate is forgotten as a danger.
  void Note(std::string_view endpoint, DatabaseTime ends_at, SteadyTime now);

  // None when no endpoint showed a certificate within the day before `now`.
  std::optional<DatabaseTime> Soonest(SteadyTime now);

 private:
  using EndpointHash = std::uint64_t;
  struct Seen {
    DatabaseTime ends_at;
    SteadyTime at;
  };

  void Remove(EndpointHash endpoint);

  const std::size_t capacity_;
  std::mutex mutex_;
  std::unordered_map<EndpointHash, Seen> endpoints_;
  std::set<std::pair<DatabaseTime, EndpointHash>> by_end_;
};

}  // namespace postcall::metrics
