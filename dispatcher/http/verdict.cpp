#include "dispatcher/http/verdict.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "dispatcher/http/local_fault.h"

namespace postcall::http {
namespace {

constexpr char kForbidden[] = "The host is or resolves to an address that the egress policy does not allow.";

// The columns of the log that do not depend on the outcome.
DeliveryResult ResultOf(const AttemptFacts& attempt, Reached reached) {
  DeliveryResult result;
  result.reached = reached;
  result.http_status = attempt.http_status;
  result.response_body = attempt.response.body;
  result.response_truncated = attempt.response.state == ResponseState::kBodyCut;
  result.response_bytes = static_cast<std::int64_t>(attempt.response.body_bytes);
  if (attempt.connected()) {
    result.remote_address = attempt.address.to_string();
    result.connection_reused = attempt.connection_reused;
  }
  result.certificate_ends_at = attempt.tls.certificate_ends_at;
  return result;
}

// How far an attempt without a complete answer got.
Reached ReachedSoFar(const AttemptFacts& attempt) {
  if (attempt.response.first_byte_at) return Reached::kResponseStarted;
  if (attempt.sent_at) return Reached::kRequestSent;
  return attempt.connected() ? Reached::kConnected : Reached::kNothing;
}

PostResult Failed(DeliveryResult facts, Outcome outcome, std::string error) {
  facts.outcome = outcome;
  facts.error = std::move(error);
  return {.result = std::move(facts)};
}

std::string FaultSentence(LocalFault fault) {
  switch (fault) {
    case LocalFault::kDescriptors:
      return "The dispatcher was out of file descriptors.";
    case LocalFault::kMemory:
      return "The dispatcher was out of memory.";
    case LocalFault::kPorts:
      return "The dispatcher was out of local ports for this endpoint.";
    case LocalFault::kNetwork:
      return "The dispatcher's network was down.";
  }
  return "";
}

std::optional<LocalFault> FaultOf(const AttemptFacts& attempt, CURLcode code) {
  if (code == CURLE_OUT_OF_MEMORY) return LocalFault::kMemory;
  // When there is no source address for it, the address is unreachable, and ports are not the reason.
  if (attempt.system_error == EADDRNOTAVAIL && (attempt.address.is_v4() || attempt.route == Route::kExists))
    return LocalFault::kPorts;
  return LocalFaultOf(attempt.system_error);
}

// The texts of libcurl and OpenSSL may quote what the peer sent.
std::string Printable(std::string text) {
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  while (!text.empty() && (text.back() == ' ' || text.back() == '.')) text.pop_back();
  return text;
}

// The address may be an internal one that the operator allowed (CONTRACT §4: never in an error).
std::string WithoutAddress(std::string text, const std::string& address) {
  for (std::size_t at = text.find(address); at != std::string::npos; at = text.find(address, at)) {
    text.replace(at, address.size(), "the endpoint");
  }
  return text;
}

// libcurl's own error text.
std::string Detail(const AttemptFacts& attempt, CURLcode code) {
  const std::string text = WithoutAddress(Printable(attempt.error_text), attempt.address.to_string());
  return text.empty() ? curl_easy_strerror(code) : text;
}

// The endpoint's own alert says more than OpenSSL's error. No value when there was no alert.
std::optional<std::string> AlertSentence(const AttemptFacts& attempt) {
  if (!attempt.tls.alert) return std::nullopt;
  const std::string name = NameOfTlsAlert(*attempt.tls.alert);
  if (IsAboutClientCertificate(*attempt.tls.alert, attempt.tls.certificate_requested)) {
    return "The endpoint demands a client certificate (TLS alert " + name + ").";
  }
  if (!attempt.sent_at) return "The TLS handshake failed: the endpoint sent the TLS alert " + name + ".";
  return "The endpoint ended the connection with the TLS alert " + name + ".";
}

std::string TlsSentence(const AttemptFacts& attempt, CURLcode code) {
  if (const auto alert = AlertSentence(attempt)) return *alert;
  return "The TLS handshake failed: " + Detail(attempt, code) + ".";
}

// If there is a route, a router on the way had none. The reason may be that one endpoint alone.
NetworkSign SignOf(const AttemptFacts& attempt) {
  if (attempt.system_error == ETIMEDOUT) return NetworkSign::kSilence;
  switch (attempt.route) {
    case Route::kExists:
      return NetworkSign::kSilence;
    case Route::kLost:
      return NetworkSign::kNoRoute;
    case Route::kNoSource:
      return NetworkSign::kNoSource;
    case Route::kNotAsked:
    case Route::kNever:
      break;
  }
  return NetworkSign::kNone;
}

std::string ConnectSentence(const AttemptFacts& attempt, CURLcode code) {
  const int error = attempt.system_error;
  return "No connection could be made: " +
         (error == 0 ? curl_easy_strerror(code) : std::generic_category().message(error)) + ".";
}

// The codes with which libcurl ends an answer that it cannot read, after the request was sent.
bool IsNotHttp(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:  // for libcurl, an answer without a status line is HTTP/0.9
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_OUT_OF_MEMORY:
      return true;
    default:
      return false;
  }
}

// The answer began as HTTP, but a later part is not HTTP. For a chunk that it cannot read, libcurl uses the
// code of a lost connection, and only its error text tells the two apart.
bool IsMalformed(const AttemptFacts& attempt, CURLcode code) {
  if (!attempt.http_status) return false;
  return code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_BAD_CONTENT_ENCODING ||
         (code == CURLE_RECV_ERROR && attempt.error_text.find("chunk") != std::string::npos);
}

std::string LostSentence(const AttemptFacts& attempt, CURLcode code) {
  const ResponseState response = attempt.response.state;
  if (response == ResponseState::kTooManyHeaders) return "The answer had more than 64 KiB of headers.";
  if (response == ResponseState::kNotHttp || response == ResponseState::kSwitched)
    return "The answer was not HTTP.";
  if (IsMalformed(attempt, code)) return "The answer was malformed: " + Detail(attempt, code) + ".";
  if (IsNotHttp(code)) return "The answer was not HTTP.";
  if (const auto alert = AlertSentence(attempt)) return *alert;
  if (code == CURLE_PARTIAL_FILE || code == CURLE_OK)
    return "The connection was closed before the answer was complete.";
  return attempt.response.first_byte_at ? "The connection was lost before the answer was complete."
                                        : "The connection was lost before an answer came.";
}

PostResult JudgeAnswer(const AttemptFacts& attempt, Reached reached) {
  DeliveryResult facts = ResultOf(attempt, attempt.http_status ? reached : Reached::kResponseStarted);
  if (!facts.http_status) return Failed(std::move(facts), Outcome::kNetworkError, "The answer was not HTTP.");
  const int status = *facts.http_status;
  if (status / 100 == 2) {
    facts.outcome = Outcome::kDelivered;
    return {.result = std::move(facts)};
  }
  std::string error = "The endpoint answered with status " + std::to_string(status);
  error += status / 100 == 3 && status != 304 ? "; redirects are not followed." : ".";
  return Failed(std::move(facts), Outcome::kRejected, std::move(error));
}

std::string InSeconds(std::chrono::milliseconds limit) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g s", std::chrono::duration<double>(limit).count());
  return text;
}

}  // namespace

PostResult JudgeEnd(const AttemptFacts& attempt, CURLcode code) {
  const ResponseState response = attempt.response.state;
  if (response == ResponseState::kBodyCut) return JudgeAnswer(attempt, Reached::kResponseStarted);
  // For libcurl, an answer that ends inside its head is complete.
  const bool has_head = response == ResponseState::kBody || response == ResponseState::kComplete;
  if (response == ResponseState::kComplete || (code == CURLE_OK && (has_head || !attempt.http_status)))
    return JudgeAnswer(attempt, Reached::kResponseComplete);

  if (attempt.sent_at) {
    const Reached reached = IsNotHttp(code) ? Reached::kResponseStarted : ReachedSoFar(attempt);
    return Failed(ResultOf(attempt, reached), Outcome::kNetworkError, LostSentence(attempt, code));
  }
  const Reached reached = ReachedSoFar(attempt);
  if (attempt.state == AttemptState::kForbidden) return JudgeBlocked();
  if (const auto fault = FaultOf(attempt, code)) return JudgeFault(*fault);
  if (code == CURLE_URL_MALFORMAT) {
    return Failed(ResultOf(attempt, reached), Outcome::kInvalidSettings, "The URL cannot be used.");
  }
  if (attempt.connected_at) {
    return Failed(ResultOf(attempt, reached), Outcome::kTlsError, TlsSentence(attempt, code));
  }
  PostResult failed =
      Failed(ResultOf(attempt, reached), Outcome::kConnectError, ConnectSentence(attempt, code));
  failed.sign = SignOf(attempt);
  return failed;
}

PostResult JudgeTimeout(const AttemptFacts* attempt, TimeoutIn step, std::chrono::milliseconds limit) {
  const Reached reached = attempt == nullptr ? Reached::kNothing : ReachedSoFar(*attempt);
  std::string error;
  switch (reached) {
    case Reached::kNothing:
      error = step == TimeoutIn::kLookup ? "The host name was not looked up" : "No connection was made";
      break;
    case Reached::kConnected:
      error = step == TimeoutIn::kAttempt ? "The TLS handshake did not end" : "The connection was not ready";
      break;
    case Reached::kRequestSent:
      error = "No answer came";
      break;
    case Reached::kResponseStarted:
    case Reached::kResponseComplete:
      error = "The answer was not complete";
      break;
  }
  DeliveryResult facts;
  facts.reached = reached;
  if (attempt != nullptr) facts = ResultOf(*attempt, reached);
  PostResult timeout =
      Failed(std::move(facts), Outcome::kTimeout, error + " within " + InSeconds(limit) + ".");
  if (reached == Reached::kNothing)
    timeout.sign = step == TimeoutIn::kLookup ? NetworkSign::kNoNameServer : NetworkSign::kSilence;
  return timeout;
}

PostResult JudgeRehearsal(const AttemptFacts& attempt) {
  return Failed(ResultOf(attempt, Reached::kConnected), Outcome::kNotSent, "This was a rehearsal.");
}

PostResult JudgeLookup(const LookupResult& failed) {
  if (failed.fault) return JudgeFault(*failed.fault);
  DeliveryResult facts;
  facts.reached = Reached::kNothing;
  PostResult unknown = Failed(std::move(facts), Outcome::kDnsError, failed.error);
  if (failed.failure == LookupFailure::kNoServer || failed.failure == LookupFailure::kServerFailed)
    unknown.sign = NetworkSign::kNoNameServer;
  return unknown;
}

PostResult JudgeBlocked() {
  DeliveryResult facts;
  facts.reached = Reached::kNothing;
  return Failed(std::move(facts), Outcome::kBlocked, kForbidden);
}

PostResult JudgeNoSource() {
  DeliveryResult facts;
  facts.reached = Reached::kNothing;
  return Failed(
      std::move(facts), Outcome::kConnectError,
      "No connection could be made: the host has only addresses of a family (IPv4 or IPv6) for which "
      "the dispatcher has no source address.");
}

PostResult JudgeFault(LocalFault fault) {
  DeliveryResult facts;
  facts.outcome = Outcome::kNotSent;
  facts.reached = Reached::kNothing;
  facts.error = FaultSentence(fault);
  return {.result = std::move(facts), .fault = fault};
}

}  // namespace postcall::http
