// One try to POST to one address: the easy handle, libcurl's callbacks, and what they saw. Here the promise
// is kept that nothing is sent twice, too late, or to an address that the policy forbids. One thread, the
// loop's.
#pragma once

#include <curl/curl.h>
#include <openssl/ssl.h>

#include <array>
#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/clock.h"
#include "dispatcher/egress/policy.h"
#include "dispatcher/http/ca_store.h"
#include "dispatcher/http/connection_sockets.h"
#include "dispatcher/http/post.h"
#include "dispatcher/http/request_options.h"

namespace postcall::http {

class Attempt;
class Transfer;

// The body that is read of an answer, and its headers, trailers and 1xx answers together (CONTRACT §2).
inline constexpr std::size_t kMaxBodyBytes = std::size_t{64} * 1024;
inline constexpr std::size_t kMaxHeaderBytes = std::size_t{64} * 1024;
// What an answer may bring over the wire in all: enough for those two though every byte of the body came in a
// chunk of its own. libcurl reads over chunk extensions in silence, for ever and as fast as they come. Of TLS
// it is what the records hold, and each of them counts as such a chunk at least: enough though every chunk
// came in a record of its own, and no record is for nothing.
inline constexpr std::uint64_t kMaxWireBytes = std::uint64_t{512} * 1024;

// What the attempts of one engine share.
struct AttemptContext {
  const egress::Policy& policy;
  const CaStore& authorities;
  std::size_t response_body_bytes;
  // Whose connection it is at the moment, by TLS context: each connection has its own, and outlives attempts.
  std::unordered_map<const SSL_CTX*, Attempt*> by_tls = {};
  // Who sent its request on it last, by socket.
  std::unordered_map<int, Attempt*> by_socket = {};
  ConnectionSockets sockets = {};
};

// What was seen of an attempt, as it happened.
struct Seen {
  std::optional<SteadyTime> connected_at;   // TCP, by this attempt; none on a connection that was kept
  std::optional<SteadyTime> ready_at;       // the connection stood, TLS included
  std::optional<SteadyTime> sent_at;        // the point of no return: from here on, bytes may have left
  std::optional<SteadyTime> first_byte_at;  // of the answer
  bool connection_reused = false;
  std::optional<DatabaseTime> certificate_ends_at;

  bool has_head = false;     // of the final answer, whole
  bool switched = false;     // the answer goes on in another protocol, for which nobody asked
  bool answered = false;     // the answer is complete, though part of the request may still be to be sent
  bool blocked = false;      // the policy forbids the address
  bool stale = false;        // something was unread on the connection that was kept; nothing was sent
  bool too_late = false;     // ready only when send_before had passed; nothing was sent
  bool not_http = false;     // a head of the answer has no status line, whatever libcurl made of it
  bool second_send = false;  // libcurl wanted to send again and was stopped
  int socket_error = 0;      // errno of making the socket
  std::size_t header_bytes = 0;
  std::size_t body_bytes = 0;
  bool body_cut = false;  // the limit of the body ended it
  std::string body;       // the first bytes
};

class Attempt {
 public:
  struct Manner {
    bool rehearsal = false;         // ends where the request would be sent
    bool fresh_connection = false;  // takes none that was kept
  };

  // `request` outlives the attempt. Throws std::bad_alloc.
  Attempt(AttemptContext& context, Transfer& owner, const PostRequest& request,
          const boost::asio::ip::address& address, Manner manner);
  ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  static Attempt* Of(CURL* easy);

  CURL* easy() const { return easy_.get(); }
  Transfer& owner() const { return owner_; }
  const boost::asio::ip::address& address() const { return address_; }
  const Seen& seen() const { return seen_; }
  bool connected() const { return seen_.connected_at || seen_.connection_reused; }

  // The status of the final response; none when there was none yet.
  std::optional<int> Status() const;
  // errno of making or connecting the socket; 0 for none.
  int SystemError() const;
  // libcurl's own words, about the TLS session among others; may be empty.
  const char* ErrorText() const { return error_.data(); }

  // Nobody waits for it any more. What was not sent yet never is.
  void Abandon() { abandoned_ = true; }

  // The socket can be read. Notes the first byte of an answer, of which libcurl tells only once a line is
  // whole.
  void OnReadable(int fd);

  // libcurl may have read, and have told nothing. Notes the first byte of an answer; one that has brought too
  // much is read no further, and the deadline ends it.
  void LookAtWire();

  // libcurl waits for the socket to be writable and for nothing else: it has the whole answer. True when that
  // is the final one, so that the attempt is over, which libcurl finds only once all of the request is sent.
  bool OnSendingOnly();

 private:
  void SetCallbacks();

  curl_socket_t OpenSocket(const curl_sockaddr& to);
  CURLcode SetUpTls(SSL_CTX* context);
  int BeforeRequest(const std::string& ends);
  static int CloseSocket(void* context, curl_socket_t fd);
  void LookForFirstByte();
  bool SomethingIsUnread(const std::string& ends, SSL* session) const;
  std::size_t OnHeader(const char* line, std::size_t size);
  std::size_t OnBody(const char* bytes, std::size_t size);
  void NoteFirstByte();
  void NoteCertificate(const X509* certificate);

  void OwnTls(const SSL_CTX* tls);
  static Attempt* OwnerOf(const SSL* session, void* context);
  static int VerifyCertificates(X509_STORE_CTX* chain, void* context);
  static void OnTlsMessage(int sent, int version, int type, const void* bytes, std::size_t size, SSL* session,
                           void* context);
  static void CountTlsMessage(Attempt* owner, SSL* session);
  void CountTlsRecord(const unsigned char* header);
  std::uint64_t WireBytes() const;

  AttemptContext& context_;
  Transfer& owner_;
  const PostRequest& request_;
  const boost::asio::ip::address address_;
  const bool rehearsal_;
  bool abandoned_ = false;
  bool reads_no_more_ = false;
  bool begins_head_ = true;  // the next line of the answer is a status line
  int tls_messages_ = 0;     // that came, of TLS itself
  int opened_fd_ = -1;
  int fd_ = -1;                        // of the connection that the request was sent on
  std::uint64_t received_before_ = 0;  // of that connection, when it was kept
  std::uint64_t tls_bytes_ = 0;        // that came since the request, in records
  Seen seen_;
  const SSL_CTX* tls_ = nullptr;  // none without TLS
  CurlList headers_;
  CurlList connect_to_;
  std::array<char, CURL_ERROR_SIZE> error_{};
  EasyHandle easy_;  // goes first: it points to what is above
};

}  // namespace postcall::http
