#include "dispatcher/metrics/certificate_expiry.h"

#include <functional>
#include <iterator>

namespace postcall::metrics {
namespace {

constexpr auto kRemembered = std::chrono::hours(24);

}  // namespace

void CertificateExpiry::Note(std::string_view endpoint, DatabaseTime ends_at, SteadyTime now) {
  const EndpointHash key = std::hash<std::string_view>{}(endpoint);
  const std::lock_guard lock(mutex_);
  if (const auto known = endpoints_.find(key); known != endpoints_.end()) {
    if (known->second.ends_at != ends_at) {
      by_end_.erase({known->second.ends_at, key});
      by_end_.emplace(ends_at, key);
      known->second.ends_at = ends_at;
    }
    known->second.at = now;
    return;
  }
  if (endpoints_.size() >= capacity_) {
    // The certificate that ends last cannot be the soonest, unless all the others go.
    if (by_end_.empty() || by_end_.rbegin()->first <= ends_at) return;
    Remove(by_end_.rbegin()->second);
  }
  endpoints_.emplace(key, Seen{ends_at, now});
  by_end_.emplace(ends_at, key);
}

std::optional<DatabaseTime> CertificateExpiry::Soonest(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  while (!by_end_.empty()) {
    const auto [ends_at, endpoint] = *by_end_.begin();
    if (now - endpoints_.at(endpoint).at <= kRemembered) return ends_at;
    Remove(endpoint);
  }
  return std::nullopt;
}

void CertificateExpiry::Remove(EndpointHash endpoint) {
  const auto known = endpoints_.find(endpoint);
  by_end_.erase({known->second.ends_at, endpoint});
  endpoints_.erase(known);
}

}  // namespace postcall::metrics
