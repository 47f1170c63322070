#include "dispatcher/metrics/certificate_expiry.h"

#include <functional>
#include <iterator>

namespace postcall::metrics {
namespace {

constexpr auto kRemembered = std::chrono::hours(24);

}  // namespace

void CertificateExpiry::Note(std::string_view endpoint, DatabaseTime ends_at, SteadyTime now) {
  const EndpointHash key = std::hash<std::string_view>{}(endpoint);
  const MutexLock lock(mutex_);
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
    // Full: drops the certificate that ends last, because it is the least likely to become the soonest.
    if (by_end_.empty() || by_end_.rbegin()->first <= ends_at) return;
    Remove(by_end_.rbegin()->second);
  }
  endpoints_.emplace(key, Seen{ends_at, now});
  by_end_.emplace(ends_at, key);
}

CertificateExpiry::Sample CertificateExpiry::Look(SteadyTime now, DatabaseTime clock) {
  Sample sample;
  const MutexLock lock(mutex_);
  for (auto next = by_end_.begin(); next != by_end_.end();) {
    const auto [ends_at, endpoint] = *next++;  // moves on first, because Remove erases this entry
    if (now - endpoints_.at(endpoint).at > kRemembered) {
      Remove(endpoint);
    } else if (ends_at <= clock) {
      ++sample.expired;
    } else {
      sample.soonest = ends_at;
      break;
    }
  }
  return sample;
}

void CertificateExpiry::Remove(EndpointHash endpoint) {
  const auto known = endpoints_.find(endpoint);
  by_end_.erase({known->second.ends_at, endpoint});
  endpoints_.erase(known);
}

}  // namespace postcall::metrics
