// One POST as the network sees it: what is to be sent, and all that is known when it is over (CONTRACT §2,
// §4). Any thread; value types.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "schema/agent_settings.h"
#include "schema/delivery.h"
#include "schema/url.h"

namespace postcall::http {

struct PostRequest {
  Url url;  // as validated by schema/url.h
  std::vector<Header>
      headers;  // the customer's and the signature's, beside those that every POST has; vetted
  std::string body;
  SteadyTime send_before;  // no byte of the request leaves at or after this moment
};

// A fault of our own machine, before a byte was sent. It says nothing of the customer's endpoint (CONTRACT
// §2).
enum class LocalFault {
  kNone,
  kDescriptors,  // out of file descriptors, of the process or of the system
  kMemory,       // out of memory or of socket buffers
  kPorts,        // no local port is left towards this endpoint
};

struct PostResult {
  DeliveryResult result;
  // Other than kNone: nothing was sent, the outcome is kNotSent, and the delivery may be given back.
  LocalFault fault = LocalFault::kNone;
};

// Called exactly once for each POST, on the engine's thread, as the last thing done for it; it may call
// Engine::Post. Not called for a POST that the engine's destruction cut off.
using PostDone = std::function<void(PostResult)>;

}  // namespace postcall::http
