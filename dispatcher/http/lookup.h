// What a host name resolved to. Any thread; value types.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <functional>
#include <string>
#include <vector>

#include "dispatcher/http/post.h"

namespace postcall::http {

using Addresses = std::vector<boost::asio::ip::address>;

struct LookupResult {
  Addresses addresses;  // IPv4 first, then the two families in turn; empty when the lookup failed
  std::string error;    // one sentence, when it failed
  LocalFault fault = LocalFault::kNone;  // it failed through this machine's own fault
};

using LookupDone = std::function<void(const LookupResult&)>;

}  // namespace postcall::http
