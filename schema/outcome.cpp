#include "schema/outcome.h"

namespace postcall {

std::string_view ToString(Outcome outcome) {
  switch (outcome) {
    case Outcome::kInFlight:
      return "in_flight";
    case Outcome::kDelivered:
      return "delivered";
    case Outcome::kRejected:
      return "rejected";
    case Outcome::kTimeout:
      return "timeout";
    case Outcome::kDnsError:
      return "dns_error";
    case Outcome::kConnectError:
      return "connect_error";
    case Outcome::kTlsError:
      return "tls_error";
    case Outcome::kNetworkError:
      return "network_error";
    case Outcome::kBlocked:
      return "blocked";
    case Outcome::kInvalidSettings:
      return "invalid_settings";
    case Outcome::kSkipped:
      return "skipped";
    case Outcome::kNotSent:
      return "not_sent";
    case Outcome::kUnknown:
      return "unknown";
  }
  return "unknown";
}

std::string_view ToString(Reached reached) {
  switch (reached) {
    case Reached::kNothing:
      return "nothing";
    case Reached::kConnected:
      return "connected";
    case Reached::kRequestSent:
      return "request_sent";
    case Reached::kResponseStarted:
      return "response_started";
    case Reached::kResponseComplete:
      return "response_complete";
  }
  return "nothing";
}

std::string_view ToString(Cause cause) {
  switch (cause) {
    case Cause::kCompletion:
      return "completion";
    case Cause::kResend:
      return "resend";
    case Cause::kTest:
      return "test";
  }
  return "completion";
}

std::optional<Cause> CauseFrom(std::string_view text) {
  for (const Cause cause : kCauses) {
    if (ToString(cause) == text) return cause;
  }
  return std::nullopt;
}

}  // namespace postcall
