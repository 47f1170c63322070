// What names resolved to, for as long as their TTL says, and 30 s at most (CONTRACT §2). One thread.
#pragma once

#include <chrono>
#include <string>
#include <unordered_map>

#include "common/clock.h"
#include "dispatcher/http/lookup.h"

namespace postcall::http {

class AddressCache {
 public:
  static constexpr std::chrono::seconds kMaxAge{30};

  // nullptr when nothing is known, or no longer.
  const Addresses* Find(const std::string& host, SteadyTime now) const;
  // A TTL of 0 is kept not at all.
  void Put(const std::string& host, const Addresses& addresses, std::chrono::seconds ttl, SteadyTime now);
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
