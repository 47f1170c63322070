#include "dispatcher/http/verdict.h"

#include <sys/socket.h>

#include <boost/asio/ip/udp.hpp>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "dispatcher/http/local_fault.h"

namespace postcall::http {
namespace {

constexpr char kForbidden[] = "The host is or resolves to an address that the egress policy does not allow.";

DeliveryResult Facts(const Attempt& attempt, Reached reached) {
  const Seen& seen = attempt.seen();
  DeliveryResult facts;
  facts.reached = reached;
  facts.http_status = attempt.Status();
  facts.response_body = seen.body;
  facts.response_truncated = seen.body_cut;
  facts.response_bytes = static_cast<std::int64_t>(seen.body_bytes);
  if (attempt.connected()) {
    facts.remote_address = attempt.address().to_string();
    facts.connection_reused = seen.connection_reused;
  }
  facts.certificate_ends_at = seen.certificate_ends_at;
  return facts;
}

// How far an attempt came that has no whole answer.
Reached ReachedSoFar(const Attempt& attempt) {
  if (attempt.seen().first_byte_at) return Reached::kResponseStarted;
  if (attempt.seen().sent_at) return Reached::kRequestSent;
  return attempt.connected() ? Reached::kConnected : Reached::kNothing;
}

PostResult Failed(DeliveryResult facts, Outcome outcome, std::string error) {
  facts.outcome = outcome;
  facts.error = std::move(error);
  return {std::move(facts), LocalFault::kNone};
}

std::string FaultSentence(LocalFault fault) {
  switch (fault) {
    case LocalFault::kNone:
      break;
    case LocalFault::kDescriptors:
      return "The dispatcher was out of file descriptors.";
    case LocalFault::kMemory:
      return "The dispatcher was out of memory.";
    case LocalFault::kPorts:
      return "The dispatcher was out of local ports for this endpoint.";
  }
  return "";
}

// Without a source address towards it, an address is unreachable, and no port is missing. So it is for IPv6
// where that is switched off.
bool HasSourceAddress(const boost::asio::ip::address& to) {
  if (to.is_v4()) return true;
  const FileDescriptor probe(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const boost::asio::ip::udp::endpoint there(to, 9);
  return ::connect(probe.get(), there.data(), static_cast<socklen_t>(there.size())) == 0;
}

LocalFault FaultOf(const Attempt& attempt, CURLcode code) {
  if (code == CURLE_OUT_OF_MEMORY) return LocalFault::kMemory;
  const int error = attempt.SystemError();
  if (error == EADDRNOTAVAIL && HasSourceAddress(attempt.address())) return LocalFault::kPorts;
  return LocalFaultOf(error);
}

// libcurl's and OpenSSL's own words may quote what the peer sent.
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

std::string TlsSentence(const Attempt& attempt, CURLcode code) {
  const std::string detail = WithoutAddress(Printable(attempt.ErrorText()), attempt.address().to_string());
  return "The TLS handshake failed: " + (detail.empty() ? curl_easy_strerror(code) : detail) + ".";
}

std::string ConnectSentence(const Attempt& attempt, CURLcode code) {
  const int error = attempt.SystemError();
  return "No connection could be made: " +
         (error == 0 ? curl_easy_strerror(code) : std::generic_category().message(error)) + ".";
}

// After the request was sent: these end an answer that libcurl cannot read.
bool IsNotHttp(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:  // HTTP/0.9 to libcurl is whatever does not begin with a status line
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_OUT_OF_MEMORY:
      return true;
    default:
      return false;
  }
}

std::string LostSentence(const Attempt& attempt, CURLcode code) {
  const Seen& seen = attempt.seen();
  if (seen.header_bytes > kMaxHeaderBytes) return "The answer had more than 64 KiB of headers.";
  if (seen.not_http || seen.switched || IsNotHttp(code)) return "The answer was not HTTP.";
  if (code == CURLE_PARTIAL_FILE || code == CURLE_OK)
    return "The connection was closed before the answer was complete.";
  return seen.first_byte_at ? "The connection was lost before the answer was complete."
                            : "The connection was lost before an answer came.";
}

PostResult JudgeAnswer(const Attempt& attempt, Reached reached) {
  DeliveryResult facts = Facts(attempt, attempt.Status() ? reached : Reached::kResponseStarted);
  if (!facts.http_status) return Failed(std::move(facts), Outcome::kNetworkError, "The answer was not HTTP.");
  const int status = *facts.http_status;
  if (status / 100 == 2) {
    facts.outcome = Outcome::kDelivered;
    return {std::move(facts), LocalFault::kNone};
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

PostResult JudgeEnd(const Attempt& attempt, CURLcode code) {
  const Seen& seen = attempt.seen();
  if (seen.body_cut) return JudgeAnswer(attempt, Reached::kResponseStarted);
  // To libcurl an answer that ends within its head is complete.
  if (seen.answered || (code == CURLE_OK && (seen.has_head || !attempt.Status())))
    return JudgeAnswer(attempt, Reached::kResponseComplete);

  if (seen.sent_at) {
    const Reached reached = IsNotHttp(code) ? Reached::kResponseStarted : ReachedSoFar(attempt);
    return Failed(Facts(attempt, reached), Outcome::kNetworkError, LostSentence(attempt, code));
  }
  const Reached reached = ReachedSoFar(attempt);
  if (seen.blocked) return JudgeBlocked();
  if (const LocalFault fault = FaultOf(attempt, code); fault != LocalFault::kNone) return JudgeFault(fault);
  if (code == CURLE_URL_MALFORMAT) {
    return Failed(Facts(attempt, reached), Outcome::kInvalidUrl, "The URL cannot be used.");
  }
  if (seen.connected_at) {
    return Failed(Facts(attempt, reached), Outcome::kTlsError, TlsSentence(attempt, code));
  }
  return Failed(Facts(attempt, reached), Outcome::kConnectError, ConnectSentence(attempt, code));
}

PostResult JudgeTimeout(const Attempt* attempt, TimeoutIn step, std::chrono::milliseconds limit) {
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
  if (attempt != nullptr) facts = Facts(*attempt, reached);
  return Failed(std::move(facts), Outcome::kTimeout, error + " within " + InSeconds(limit) + ".");
}

PostResult JudgeRehearsal(const Attempt& attempt) {
  return Failed(Facts(attempt, Reached::kConnected), Outcome::kNotSent, "This was a rehearsal.");
}

PostResult JudgeLookup(const LookupResult& failed) {
  if (failed.fault != LocalFault::kNone) return JudgeFault(failed.fault);
  DeliveryResult facts;
  facts.reached = Reached::kNothing;
  return Failed(std::move(facts), Outcome::kDnsError, failed.error);
}

PostResult JudgeBlocked() {
  DeliveryResult facts;
  facts.reached = Reached::kNothing;
  return Failed(std::move(facts), Outcome::kBlocked, kForbidden);
}

PostResult JudgeFault(LocalFault fault) {
  DeliveryResult facts;
  facts.outcome = Outcome::kNotSent;
  facts.reached = Reached::kNothing;
  facts.error = FaultSentence(fault);
  return {std::move(facts), fault};
}

}  // namespace postcall::http
