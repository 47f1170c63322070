#include "dispatcher/http/attempt.h"

#include <netinet/in.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <new>
#include <string_view>

#include "dispatcher/http/received_bytes.h"

namespace postcall::http {
namespace {

// The messages of TLS itself, of which a handshake has some ten and an answer one or two.
constexpr int kMaxTlsMessages = 64;
// Of the certificates that the endpoint sends: ten large ones, at 10 ms.
constexpr long kMaxCertificateBytes = 32L * 1024;

// What TLS 1.2 adds to the bytes in a record, and a chunk of one byte.
constexpr std::size_t kTlsRecordAdds = 24;
constexpr std::size_t kLeastChunk = std::string_view("1\r\na\r\n").size();

using boost::asio::ip::address;
using boost::asio::ip::address_v4;
using boost::asio::ip::address_v6;

address ToAddress(const curl_sockaddr& raw) {
  if (raw.family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &raw.addr, sizeof(in));
    return address_v4(ntohl(in.sin_addr.s_addr));
  }
  sockaddr_in6 in{};
  std::memcpy(&in, &raw.addr, sizeof(in));
  address_v6::bytes_type bytes;
  std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
  return address_v6(bytes);
}

// "::address:port": whatever the host and port of the URL, connect there.
std::string ConnectTo(const address& to, std::uint16_t port) {
  const std::string text = to.is_v6() ? "[" + to.to_string() + "]" : to.to_string();
  return "::" + text + ":" + std::to_string(port);
}

// What tells a connection from all others that are open.
std::string Ends(const char* peer, int peer_port, const char* local, int local_port) {
  std::string ends = peer;
  ends += ' ';
  ends += std::to_string(peer_port);
  ends += ' ';
  ends += local;
  ends += ' ';
  return ends += std::to_string(local_port);
}

// "HTTP/1.1 200 OK": libcurl takes a line for a 200 that begins with "HTTP/" in any case and goes on as it
// likes.
bool IsStatusLine(std::string_view line) {
  constexpr std::string_view kProtocol = "HTTP/";
  const auto digits = [&line] {
    const std::size_t count = std::min(line.find_first_not_of("0123456789"), line.size());
    line.remove_prefix(count);
    return count;
  };
  if (!line.starts_with(kProtocol)) return false;
  line.remove_prefix(kProtocol.size());
  if (digits() != 1) return false;
  if (line.starts_with('.')) {
    line.remove_prefix(1);
    if (digits() != 1) return false;
  }
  if (!line.starts_with(' ')) return false;
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return digits() == 3;
}

SSL* TlsSession(CURL* easy) {
  curl_tlssessioninfo* session = nullptr;
  curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &session);
  return session == nullptr ? nullptr : static_cast<SSL*>(session->internals);
}

}  // namespace

Attempt::Attempt(AttemptContext& context, Transfer& owner, const PostRequest& request,
                 const boost::asio::ip::address& address, Manner manner)
    : context_(context),
      owner_(owner),
      request_(request),
      address_(address),
      rehearsal_(manner.rehearsal),
      headers_(MakeHeaderList(request.headers)),
      connect_to_(curl_slist_append(nullptr, ConnectTo(address, request.url.port).c_str())),
      easy_(curl_easy_init()) {
  if (!easy_ || !connect_to_) throw std::bad_alloc();
  CURL* easy = easy_.get();
  SetRequestOptions(easy, request.url);
  if (manner.fresh_connection) curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_.data());
  curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_to_.get());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_.get());
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  SetCallbacks();
}

Attempt::~Attempt() {
  // The connection may serve the next attempt already.
  const auto forget_in = [this](auto& attempts, const auto& key) {
    const auto found = attempts.find(key);
    if (found != attempts.end() && found->second == this) attempts.erase(found);
  };
  forget_in(context_.by_tls, tls_);
  forget_in(context_.by_socket, fd_);
}

Attempt* Attempt::Of(CURL* easy) {
  Attempt* attempt = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &attempt);
  return attempt;
}

void Attempt::SetCallbacks() {
  CURL* easy = easy_.get();
  constexpr auto open_socket = [](void* self, curlsocktype, curl_sockaddr* to) {
    return static_cast<Attempt*>(self)->OpenSocket(*to);
  };
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, +open_socket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  // A connection keeps this one for life, and outlives the attempt.
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &Attempt::CloseSocket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, &context_);
  constexpr auto set_up_tls = [](CURL*, void* context, void* self) {
    return static_cast<Attempt*>(self)->SetUpTls(static_cast<SSL_CTX*>(context));
  };
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, +set_up_tls);
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, this);
  constexpr auto before_request = [](void* self, char* peer, char* local, int peer_port, int local_port) {
    return static_cast<Attempt*>(self)->BeforeRequest(Ends(peer, peer_port, local, local_port));
  };
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, +before_request);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
  constexpr auto on_header = [](char* line, std::size_t size, std::size_t count, void* self) {
    return static_cast<Attempt*>(self)->OnHeader(line, size * count);
  };
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, +on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  constexpr auto on_body = [](char* bytes, std::size_t size, std::size_t count, void* self) {
    return static_cast<Attempt*>(self)->OnBody(bytes, size * count);
  };
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, +on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
}

std::optional<int> Attempt::Status() const {
  // libcurl notes that of a line, too, that it then refuses.
  if (begins_head_) return std::nullopt;
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  return status < 200 ? std::nullopt : std::optional(static_cast<int>(status));
}

int Attempt::SystemError() const {
  if (seen_.socket_error != 0) return seen_.socket_error;
  long error = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &error);
  return static_cast<int>(error);
}

curl_socket_t Attempt::OpenSocket(const curl_sockaddr& to) {
  // A new connection after the request was sent: libcurl means to send it again.
  if (seen_.sent_at) {
    seen_.second_send = true;
    return CURL_SOCKET_BAD;
  }
  if (abandoned_) return CURL_SOCKET_BAD;
  const auto target = ToAddress(to);
  if (target != address_ || !context_.policy.Allows(target)) {
    seen_.blocked = true;
    return CURL_SOCKET_BAD;
  }
  const int fd = ::socket(to.family, to.socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to.protocol);
  if (fd < 0) seen_.socket_error = errno;
  opened_fd_ = fd;
  return fd;
}

// The last look: libcurl may have read half a line and the end in the call in which it sent.
int Attempt::CloseSocket(void* context, curl_socket_t fd) {
  const auto& by_socket = static_cast<AttemptContext*>(context)->by_socket;
  if (const auto found = by_socket.find(fd); found != by_socket.end()) found->second->LookForFirstByte();
  return ::close(fd);
}

// The TCP connection stands and TLS begins.
CURLcode Attempt::SetUpTls(SSL_CTX* context) {
  seen_.connected_at = Steady::now();
  OwnTls(context);
  context_.authorities.Use(context);
  SSL_CTX_set_max_cert_list(context, kMaxCertificateBytes);
  SSL_CTX_set_msg_callback(context, &Attempt::OnTlsMessage);
  SSL_CTX_set_msg_callback_arg(context, &context_);
  SSL_CTX_set_cert_verify_callback(context, &Attempt::VerifyCertificates, &context_);
  return CURLE_OK;
}

void Attempt::OwnTls(const SSL_CTX* tls) {
  tls_ = tls;
  context_.by_tls.insert_or_assign(tls, this);
}

Attempt* Attempt::OwnerOf(const SSL* session, void* context) {
  const auto& by_tls = static_cast<AttemptContext*>(context)->by_tls;
  const auto found = by_tls.find(SSL_get_SSL_CTX(session));
  return found == by_tls.end() ? nullptr : found->second;
}

// As OpenSSL verifies without it, but a certificate that is refused is noted, too.
int Attempt::VerifyCertificates(X509_STORE_CTX* chain, void* context) {
  const void* session = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
  Attempt* owner = OwnerOf(static_cast<const SSL*>(session), context);
  if (owner != nullptr) owner->NoteCertificate(X509_STORE_CTX_get0_cert(chain));
  return X509_verify_cert(chain);
}

// libcurl is about to send the request: the first time, or again.
int Attempt::BeforeRequest(const std::string& ends) {
  if (seen_.sent_at) {
    seen_.second_send = true;
    return CURL_PREREQFUNC_ABORT;
  }
  const SteadyTime now = Steady::now();
  long connects = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_NUM_CONNECTS, &connects);
  seen_.connection_reused = connects == 0;
  if (!seen_.connected_at && !seen_.connection_reused) seen_.connected_at = now;
  seen_.ready_at = now;

  SSL* session = TlsSession(easy_.get());
  if (session != nullptr) {
    OwnTls(SSL_get_SSL_CTX(session));
    NoteCertificate(SSL_get0_peer_certificate(session));
  }
  if (!seen_.connection_reused) {
    fd_ = opened_fd_;
    context_.sockets.Note(fd_, ends);
  } else if (SomethingIsUnread(ends, session)) {
    seen_.stale = true;
    return CURL_PREREQFUNC_ABORT;
  } else {
    fd_ = context_.sockets.Find(ends);
    received_before_ = ReceivedBytes(fd_);
  }
  context_.by_socket.insert_or_assign(fd_, this);
  if (rehearsal_ || abandoned_) return CURL_PREREQFUNC_ABORT;
  if (now >= request_.send_before) {
    seen_.too_late = true;
    return CURL_PREREQFUNC_ABORT;
  }
  seen_.sent_at = now;
  return CURL_PREREQFUNC_OK;
}

// On a connection that was kept, nothing is expected: it is the endpoint's goodbye, or what would be taken
// for the answer to a request that it has not seen. libcurl looks only whether the socket is closed, for
// which a TLS goodbye still counts as alive.
bool Attempt::SomethingIsUnread(const std::string& ends, SSL* session) const {
  if (session != nullptr && SSL_has_pending(session) != 0) return true;
  char byte = 0;
  return ::recv(context_.sockets.Find(ends), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
         (errno != EAGAIN && errno != EWOULDBLOCK);
}

void Attempt::OnReadable(int fd) {
  if (!seen_.sent_at || seen_.first_byte_at || tls_ != nullptr) return;
  char byte = 0;
  if (::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1) NoteFirstByte();
}

// The type of a TLS record tells an answer from what TLS itself has to say, such as a session ticket.
void Attempt::OnTlsMessage(int sent, int, int type, const void* bytes, std::size_t size, SSL* session,
                           void* context) {
  if (sent != 0 || size == 0) return;
  Attempt* const owner = OwnerOf(session, context);
  if (type == SSL3_RT_HANDSHAKE) return CountTlsMessage(owner, session);
  if (owner == nullptr || !owner->seen_.sent_at) return;
  if (type == SSL3_RT_HEADER) owner->CountTlsRecord(static_cast<const unsigned char*>(bytes));
  if (*static_cast<const unsigned char*>(bytes) != SSL3_RT_APPLICATION_DATA) return;
  if (type != (SSL_version(session) == TLS1_3_VERSION ? SSL3_RT_INNER_CONTENT_TYPE : SSL3_RT_HEADER)) return;
  owner->NoteFirstByte();
}

// OpenSSL reads such messages within one call for as long as they come, and nobody else has a turn: also when
// a kept connection is closed, which nobody owns. It stops where there is nothing left to be read, and where
// there is not even memory for that.
void Attempt::CountTlsMessage(Attempt* owner, SSL* session) {
  if (owner != nullptr && ++owner->tls_messages_ <= kMaxTlsMessages) return;
  SSL_set0_rbio(session, BIO_new(BIO_s_null()));
}

// Its type, the version in two bytes, its length in two.
void Attempt::CountTlsRecord(const unsigned char* header) {
  const std::size_t length = std::size_t{header[3]} << 8 | header[4];
  tls_bytes_ += std::max(length, kTlsRecordAdds + kLeastChunk) - kTlsRecordAdds;
}

void Attempt::NoteFirstByte() {
  if (!seen_.first_byte_at) seen_.first_byte_at = Steady::now();
}

void Attempt::NoteCertificate(const X509* certificate) {
  if (certificate == nullptr) return;
  std::tm ends{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &ends) != 1) return;
  seen_.certificate_ends_at = DatabaseTime(std::chrono::seconds(::timegm(&ends)));
}

// Whether libcurl has read it or not. The end counts as a byte, so that of a single one this cannot tell.
void Attempt::LookForFirstByte() {
  if (!seen_.sent_at || seen_.first_byte_at || tls_ != nullptr) return;
  if (ReceivedBytes(fd_) > received_before_ + 1) NoteFirstByte();
}

std::uint64_t Attempt::WireBytes() const {
  return tls_ != nullptr ? tls_bytes_ : ReceivedBytes(fd_) - received_before_;
}

void Attempt::LookAtWire() {
  if (!seen_.sent_at || reads_no_more_) return;
  LookForFirstByte();
  if (WireBytes() <= kMaxWireBytes) return;
  reads_no_more_ = true;
  curl_easy_pause(easy_.get(), CURLPAUSE_RECV);
}

bool Attempt::OnSendingOnly() {
  if (seen_.has_head && !reads_no_more_) seen_.answered = true;
  return seen_.answered;
}

// Returning less than `size` ends the transfer.
std::size_t Attempt::OnHeader(const char* line, std::size_t size) {
  NoteFirstByte();
  const std::string_view text(line, size);
  if (begins_head_ && !IsStatusLine(text)) {
    seen_.not_http = true;
    return 0;
  }
  begins_head_ = false;
  // To libcurl a head ends with a line that begins with a line end, whatever follows.
  if (text.starts_with('\r') || text.starts_with('\n')) {
    long status = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    seen_.has_head = status >= 200;
    seen_.switched = status == 101;  // libcurl takes all that follows for a body
    begins_head_ = status < 200;
    long version = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_VERSION, &version);
    // libcurl would send the next request on this connection in HTTP/1.0, too.
    if (version == CURL_HTTP_VERSION_1_0) curl_easy_setopt(easy_.get(), CURLOPT_FORBID_REUSE, 1L);
  }
  seen_.header_bytes += size;
  return seen_.header_bytes > kMaxHeaderBytes || seen_.switched ? 0 : size;
}

std::size_t Attempt::OnBody(const char* bytes, std::size_t size) {
  const std::size_t taken = std::min(size, kMaxBodyBytes - seen_.body_bytes);
  seen_.body_bytes += taken;
  const std::size_t room =
      context_.response_body_bytes - std::min(context_.response_body_bytes, seen_.body.size());
  seen_.body.append(bytes, std::min(taken, room));
  if (seen_.body_bytes < kMaxBodyBytes) return size;

  // Exactly the limit and known to be all of it: libcurl finds the response complete.
  curl_off_t promised = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &promised);
  if (promised == static_cast<curl_off_t>(kMaxBodyBytes)) return size;
  seen_.body_cut = true;
  return 0;
}

}  // namespace postcall::http
