// How a delivery ended, how far it got, and why it was made: the values of the log's columns (CONTRACT §4).
// Any thread; value types.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace postcall {

enum class Outcome {
  kInFlight,         // claimed, not yet over
  kDelivered,        // 2xx in time
  kRejected,         // a complete response with any other status
  kTimeout,          // not complete after 10 s
  kDnsError,         // the name lookup failed
  kConnectError,     // no TCP connection
  kTlsError,         // the TLS handshake or the verification of the certificate failed
  kNetworkError,     // the connection was lost, or the answer was not HTTP
  kBlocked,          // the egress policy forbids the address
  kInvalidSettings,  // no usable URL, header or secret in the agent settings; nothing was sent
  kSkipped,          // the URL, agent or call was removed after the call was enqueued
  kNotSent,          // this machine's own fault, again and again; nothing was sent
  kUnknown,          // the dispatcher died before it could record the outcome; never sent again
};

// Every outcome that ends a delivery, in the order of CONTRACT §4.
inline constexpr std::array kFinalOutcomes = {
    Outcome::kDelivered,       Outcome::kRejected, Outcome::kTimeout,      Outcome::kDnsError,
    Outcome::kConnectError,    Outcome::kTlsError, Outcome::kNetworkError, Outcome::kBlocked,
    Outcome::kInvalidSettings, Outcome::kSkipped,  Outcome::kNotSent,      Outcome::kUnknown,
};

// How far a delivery got. kRequestSent holds from the first byte that may have left this machine.
enum class Reached { kNothing, kConnected, kRequestSent, kResponseStarted, kResponseComplete };

enum class Cause { kCompletion, kResend, kTest };

inline constexpr std::array kCauses = {Cause::kCompletion, Cause::kResend, Cause::kTest};

// The text in the log's columns and in the metrics' labels.
std::string_view ToString(Outcome outcome);
std::string_view ToString(Reached reached);
std::string_view ToString(Cause cause);

// No value when `text` is not a cause.
std::optional<Cause> CauseFrom(std::string_view text);

}  // namespace postcall
