// What is known about one attempt: how far it got and what it saw. The verdict judges it. Any thread; value
// types.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <optional>
#include <string>

#include "common/clock.h"
#include "dispatcher/http/response.h"
#include "dispatcher/http/tls_watch.h"

namespace postcall::http {

// The transitions are drawn in attempt.h.
enum class AttemptState {
  kConnecting,     // no byte of the request has left
  kSent,           // the point of no return: from here on, bytes may have left
  kSecondStopped,  // libcurl wanted to send the request again and was stopped
  // Nothing was sent, and nothing will be:
  kForbidden,  // the policy forbids the address
  kStale,      // something was unread on the kept connection
  kTooLate,    // the connection was ready only after send_before
  kRehearsed,  // a rehearsal, which ends where the request would be sent
  kAbandoned,  // the transfer no longer waits for it
};

// Whether the system has a route to the address, for an attempt whose error may mean that there is none.
enum class Route {
  kNotAsked,
  kExists,
  kLost,      // this machine's own network may be down (Reachability::MissesRoute)
  kNever,     // this machine never had a route to addresses of that family
  kNoSource,  // this machine does not have its source address
};

struct AttemptFacts {
  boost::asio::ip::address address;
  AttemptState state = AttemptState::kConnecting;

  std::optional<SteadyTime> connected_at;  // TCP, by this attempt; no value on a kept connection
  std::optional<SteadyTime> ready_at;      // the connection is ready, TLS included
  std::optional<SteadyTime> sent_at;       // no value if nothing was sent
  bool connection_reused = false;

  TlsFacts tls;
  ResponseFacts response;
  std::optional<int> http_status;  // of the final response

  int system_error = 0;    // errno of opening or connecting the socket; 0 for none
  std::string error_text;  // libcurl's own text, for example about the TLS session; may be empty
  Route route = Route::kNotAsked;

  bool connected() const { return connected_at || connection_reused; }
};

}  // namespace postcall::http
