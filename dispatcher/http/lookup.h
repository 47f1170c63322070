// What a host name resolved to. Any thread; value types.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/unique_function.h"
#include "dispatcher/http/post.h"

namespace postcall::http {

using Addresses = std::vector<boost::asio::ip::address>;

enum class LookupFailure {
  kNone,
  kNotFound,      // the name does not exist
  kNoAddress,     // the name exists and has no address
  kServerFailed,  // a name server answered, with SERVFAIL, REFUSED or a message that cannot be read
  kNoServer,      // no name server answered this question: it is silent, unreachable or not running
  kOther,         // a fault of this machine, or a name that cannot be looked up
};

struct LookupResult {
  Addresses addresses;  // IPv4 first, then the two families alternate; empty when the lookup failed
  LookupFailure failure = LookupFailure::kNone;
  bool pinned = false;                // from the hosts file; no name server was asked
  std::string error;                  // one sentence, when the lookup failed
  std::optional<LocalFault> fault{};  // the fault of this machine that made it fail
};

// Called once, on the loop's thread. Several callbacks may get the same result.
using LookupDone = UniqueFunction<void(const LookupResult&)>;

}  // namespace postcall::http
