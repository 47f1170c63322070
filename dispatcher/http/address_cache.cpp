#include "dispatcher/http/address_cache.h"

#include <algorithm>

namespace postcall::http {

const Addresses* AddressCache::Find(const std::string& host, SteadyTime now) const {
  const auto found = entries_.find(host);
  return found == entries_.end() || found->second.expires <= now ? nullptr : &found->second.addresses;
}

void AddressCache::Put(const std::string& host, const Addresses& addresses, std::chrono::seconds ttl,
                       SteadyTime now) {
  if (ttl <= std::chrono::seconds(0)) {
    entries_.erase(host);
    return;
  }
  if (entries_.size() >= prune_at_) {
    std::erase_if(entries_, [now](const auto& entry) { return entry.second.expires <= now; });
    prune_at_ = std::max<std::size_t>(1024, 2 * entries_.size());
  }
  entries_.insert_or_assign(host, Entry{addresses, now + std::min(ttl, kMaxAge)});
}

void AddressCache::MoveToBack(const std::string& host, const boost::asio::ip::address& address) {
  const auto found = entries_.find(host);
  if (found == entries_.end()) return;
  Addresses& addresses = found->second.addresses;
  const auto failed = std::find(addresses.begin(), addresses.end(), address);
  if (failed != addresses.end()) std::rotate(failed, failed + 1, addresses.end());
}

}  // namespace postcall::http
