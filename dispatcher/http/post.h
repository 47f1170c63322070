// One POST as the network sees it: what to send, and what is known when it is over (CONTRACT §2, §4). Any
// thread; value types.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/unique_function.h"
#include "schema/agent_settings.h"
#include "schema/delivery.h"
#include "schema/local_fault.h"
#include "schema/url.h"

namespace postcall::http {

struct PostRequest {
  Url url;  // as validated by schema/url.h
  // The headers of the customer and of the signature, in addition to those of every POST. They are checked
  // already.
  std::vector<Header> headers;
  std::string body;
  SteadyTime send_before;  // no byte of the request leaves at or after this moment
};

// What a failure before a byte was sent says about this machine's own network. One failure proves nothing,
// because the fault may be the endpoint's.
enum class NetworkSign {
  kNone,          // nothing, or that the network works
  kNoRoute,       // the system has no route to any address of the endpoint
  kNoSource,      // this machine does not have its source address: a proof, unlike the others
  kNoNameServer,  // no name server answered, or those that answered had failed themselves
  kSilence,       // no answer to the connect came in time
};

struct PostResult {
  DeliveryResult result;
  // With one, nothing was sent, the outcome is kNotSent, and the delivery may be requeued.
  std::optional<LocalFault> fault{};
  NetworkSign sign = NetworkSign::kNone;  // other than kNone: nothing was sent
};

// Called exactly once per POST, on the engine's thread, as its last step; it may call Engine::Post. It is not
// called for a POST that the engine's destructor cancels.
using PostDone = UniqueFunction<void(PostResult)>;

}  // namespace postcall::http
