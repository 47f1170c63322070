// One try to POST to one address: libcurl's easy handle, its callbacks, and the guard that nothing is sent
// twice, too late, or to an address that the policy forbids. One thread, the loop's.
//
//                 callback before
//                   the request             libcurl wants to send again
//    kConnecting ----------------> kSent ---------------------------------> kSecondStopped
//         |
//         +--> kForbidden, kStale, kTooLate, kRehearsed, kAbandoned: nothing was sent, and nothing will be
//
// What the code relies on in libcurl, since 7.88, and the tests that fail when a version differs:
// - The callback before a request runs for each send, also for one that libcurl repeats by itself, and can
//   stop it; its arguments name the two ends of the connection. [Reuse, LostOnReuse, AtMostOnce]
// - Every socket comes from the open callback, for the address that was asked for. [Address, Reuse]
// - Every socket is closed by the close callback, which its connection keeps to its end. [Reuse.HalfALine]
// - The socket callback says which sockets to watch. It may come with a handle of libcurl's own, for a socket
//   that was closed before, and for a connection whose attempt is over. [CloseNotify, Watch]
// - When the head of the final response is there and libcurl watches the socket only for writing, it has the
//   whole response. [Early, AnInterimAnswer]
// - A TLS connection has an SSL_CTX of its own, set up by the callback once TCP connects. Its callbacks for
//   messages and verification stay, and so does a read BIO that is replaced. [Tls, TlsFlood, CloseNotify]
// - The header callback gets one line per call, the body callback all of the body and nothing else. [Answer]
// - A call for one socket fills the buffer at most a hundred times, since 8.6 at most ten times. [Crowd]
// - A kept connection that is older than allowed, in whole seconds, is not used. [Reuse.AConnectionIdle]
// - libcurl takes nothing from the environment and adds nothing to the request. [RequestBytes]
#pragma once

#include <curl/curl.h>
#include <openssl/ssl.h>

#include <array>
#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/clock.h"
#include "common/state_machine.h"
#include "dispatcher/egress/policy.h"
#include "dispatcher/http/attempt_facts.h"
#include "dispatcher/http/ca_store.h"
#include "dispatcher/http/connection_sockets.h"
#include "dispatcher/http/post.h"
#include "dispatcher/http/reachability.h"
#include "dispatcher/http/request_options.h"
#include "dispatcher/http/response.h"
#include "dispatcher/http/tls_watch.h"

namespace postcall::http {

class Attempt;
class Transfer;

// What the attempts of one engine share.
struct AttemptContext {
  const egress::Policy& policy;
  const CaStore& authorities;
  Reachability& reachability;
  std::size_t response_body_bytes;
  TlsWatch::ByContext tls_watches = {};
  // The last attempt that used a connection, by the connection's socket.
  std::unordered_map<int, Attempt*> by_socket = {};
  ConnectionSockets sockets = {};
};

class Attempt {
 public:
  struct Manner {
    bool rehearsal = false;         // ends where the request would be sent
    bool fresh_connection = false;  // uses no kept connection
  };

  static constexpr std::array kTransitions = {
      Transition{AttemptState::kConnecting, AttemptState::kSent},
      Transition{AttemptState::kSent, AttemptState::kSecondStopped},
      Transition{AttemptState::kConnecting, AttemptState::kForbidden},
      Transition{AttemptState::kConnecting, AttemptState::kStale},
      Transition{AttemptState::kConnecting, AttemptState::kTooLate},
      Transition{AttemptState::kConnecting, AttemptState::kRehearsed},
      Transition{AttemptState::kConnecting, AttemptState::kAbandoned},
  };

  // `request` outlives the attempt. Throws std::bad_alloc.
  Attempt(AttemptContext& context, Transfer& owner, const PostRequest& request,
          const boost::asio::ip::address& address, Manner manner);
  ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // Null for a handle of libcurl's own, which it uses to close connections.
  static Attempt* Of(CURL* easy);

  CURL* easy() const { return easy_.get(); }
  Transfer& owner() const { return owner_; }
  // All that is known at this moment.
  AttemptFacts Facts() const;
  bool connected() const { return facts_.connected(); }

  // The socket that is watched for this attempt, which gets its events; -1 before there is one.
  int watched_socket() const { return watched_socket_; }
  void SetWatched(int fd, bool to_send_only) {
    watched_socket_ = fd;
    sends_only_ = to_send_only;
  }

  // The transfer no longer waits for this attempt. A request that is not sent yet is never sent.
  void Abandon();

  // The socket can be read. Notes the first byte of a response, because libcurl reports a line only when it
  // is complete.
  void OnReadable(int fd);

  // libcurl may have read without a callback. Notes the first byte of a response. When more bytes came than a
  // response may have (kMaxWireBytes), it stops reading, and the deadline ends the attempt.
  void LookAtWire();

  // When libcurl waits only until the socket is writable, it has the whole response. True when that is the
  // final response: the attempt is over, but libcurl would first send the rest of the request.
  bool IsAnswered();

 private:
  void SetCallbacks();

  curl_socket_t OpenSocket(const curl_sockaddr& to);
  static int CloseSocket(void* context, curl_socket_t fd);
  CURLcode BeginTls(SSL_CTX* tls);
  int BeforeRequest(const std::string& ends);
  std::size_t OnHeader(std::string_view line);
  std::size_t OnBody(std::string_view bytes);

  bool StopsSecondSend();
  int Stop(AttemptState why);
  bool SomethingIsUnread(const std::string& ends, SSL* session) const;
  void NoteConnected(SteadyTime now);
  void LookForFirstByte();
  std::uint64_t WireBytes() const;
  std::optional<int> HttpStatus() const;
  int SystemError() const;
  Route RouteAfter(int error) const;

  AttemptContext& context_;
  Transfer& owner_;
  const PostRequest& request_;
  const bool rehearsal_;
  StateMachine<kTransitions> state_{AttemptState::kConnecting};
  AttemptFacts facts_;  // only the facts that this class itself sees
  Response response_;
  TlsWatch tls_;
  bool source_missing_ = false;
  bool paused_ = false;  // more than kMaxWireBytes came
  int watched_socket_ = -1;
  bool sends_only_ = false;  // libcurl waits only until the socket is writable
  int opened_fd_ = -1;
  int fd_ = -1;                        // of the connection that the request is sent on
  std::uint64_t received_before_ = 0;  // bytes that a kept connection had received before this attempt
  CurlList headers_;
  CurlList connect_to_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  EasyHandle easy_;  // destroyed first: it points to what is above
};

}  // namespace postcall::http
