// Keeps the addresses of names until their TTL ends, 30 s at most (CONTRACT §2). One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <unordered_map>

#include "common/clock.h"
#include "dispatcher/http/lookup.h"

namespace postcall::http {

class AddressCache {
 public:
  static constexpr std::chrono::seconds kMaxAge{30};

  // nullptr when no addresses are known or they have expired.
  const Addresses* Find(const std::string& host, SteadyTime now) const;
  // With a TTL of 0, nothing is kept.
  void Put(const std::string& host, const Addresses& addresses, std::chrono::seconds ttl, SteadyTime now);
  void Clear() { entries_.clear(); }
  // The address failed: it is tried last from now on.
  void MoveToBack(const std::string& host, const boost::asio::ip::address& address);

 private:
  struct Entry {
    Addresses addresses;
    SteadyTime expires;
  };
  std::unordered_map<std::string, Entry> entries_;
  std::size_t prune_at_ = 1024;
};

}  // namespace postcall::http
