#include "dispatcher/http/attempt.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "dispatcher/http/local_fault.h"
#include "dispatcher/http/received_bytes.h"
#include "dispatcher/http/socket_address.h"

namespace postcall::http {
namespace {

using boost::asio::ip::address;

// "::address:port": libcurl connects there, whatever host and port the URL has.
std::string ConnectTo(const address& to, std::uint16_t port) {
  const std::string text = to.is_v6() ? "[" + to.to_string() + "]" : to.to_string();
  return "::" + text + ":" + std::to_string(port);
}

// A text that identifies one open connection by its two ends.
std::string Ends(const char* peer, int peer_port, const char* local, int local_port) {
  std::string ends = peer;
  ends += ' ';
  ends += std::to_string(peer_port);
  ends += ' ';
  ends += local;
  ends += ' ';
  return ends += std::to_string(local_port);
}

SSL* TlsSession(CURL* easy) {
  curl_tlssessioninfo* session = nullptr;
  curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &session);
  return session == nullptr ? nullptr : static_cast<SSL*>(session->internals);
}

}  // namespace

Attempt::Attempt(AttemptContext& context, Transfer& owner, const PostRequest& request, const address& address,
                 Manner manner)
    : context_(context),
      owner_(owner),
      request_(request),
      rehearsal_(manner.rehearsal),
      response_(context.reachability, context.response_body_bytes),
      tls_(context.tls_watches, response_),
      headers_(MakeHeaderList(request.headers)),
      connect_to_(curl_slist_append(nullptr, ConnectTo(address, request.url.port).c_str())),
      easy_(curl_easy_init()) {
  if (!easy_ || !connect_to_) throw std::bad_alloc();
  facts_.address = address;
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
  // Another attempt may use the connection by now.
  const auto found = context_.by_socket.find(fd_);
  if (found != context_.by_socket.end() && found->second == this) context_.by_socket.erase(found);
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
  // A connection keeps this callback until it is closed, which may be after the attempt is over.
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &Attempt::CloseSocket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, &context_);
  constexpr auto begin_tls = [](CURL*, void* tls, void* self) {
    return static_cast<Attempt*>(self)->BeginTls(static_cast<SSL_CTX*>(tls));
  };
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, +begin_tls);
  curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, this);
  constexpr auto before_request = [](void* self, char* peer, char* local, int peer_port, int local_port) {
    return static_cast<Attempt*>(self)->BeforeRequest(Ends(peer, peer_port, local, local_port));
  };
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, +before_request);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, this);
  constexpr auto on_header = [](char* line, std::size_t size, std::size_t count, void* self) {
    return static_cast<Attempt*>(self)->OnHeader({line, size * count});
  };
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, +on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  constexpr auto on_body = [](char* bytes, std::size_t size, std::size_t count, void* self) {
    return static_cast<Attempt*>(self)->OnBody({bytes, size * count});
  };
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, +on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
}

// Once the request was sent, both a new connection and another call before a request mean that libcurl wants
// to send it again.
bool Attempt::StopsSecondSend() {
  if (state_.Is(AttemptState::kSent)) state_.Enter(AttemptState::kSecondStopped);
  return state_.Is(AttemptState::kSecondStopped);
}

curl_socket_t Attempt::OpenSocket(const curl_sockaddr& to) {
  if (StopsSecondSend() || !state_.Is(AttemptState::kConnecting)) return CURL_SOCKET_BAD;
  const address target = AddressOf(to.addr);
  if (target != facts_.address || !context_.policy.Allows(target)) {
    state_.Enter(AttemptState::kForbidden);
    return CURL_SOCKET_BAD;
  }
  const int fd = ::socket(to.family, to.socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to.protocol);
  if (fd < 0) {
    facts_.system_error = errno;
    return CURL_SOCKET_BAD;
  }
  if (const int error = context_.reachability.sources().Bind(fd, target); error != 0) {
    source_missing_ = error == ENETUNREACH;
    facts_.system_error = error;
    ::close(fd);
    return CURL_SOCKET_BAD;
  }
  opened_fd_ = fd;
  return fd;
}

// libcurl may send, read half a line and see the end of the connection in one call. Then this is the last
// moment to see that a byte of the response came.
int Attempt::CloseSocket(void* context, curl_socket_t fd) {
  const auto& by_socket = static_cast<AttemptContext*>(context)->by_socket;
  if (const auto found = by_socket.find(fd); found != by_socket.end()) found->second->LookForFirstByte();
  return ::close(fd);
}

// The TCP connection is made, and TLS begins.
CURLcode Attempt::BeginTls(SSL_CTX* tls) {
  NoteConnected(Steady::now());
  context_.authorities.Use(tls);
  tls_.BeginHandshake(tls);
  return CURLE_OK;
}

int Attempt::BeforeRequest(const std::string& ends) {
  if (StopsSecondSend()) return CURL_PREREQFUNC_ABORT;
  const SteadyTime now = Steady::now();
  long connects = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_NUM_CONNECTS, &connects);
  facts_.connection_reused = connects == 0;
  if (!facts_.connected_at && !facts_.connection_reused) NoteConnected(now);
  facts_.ready_at = now;

  SSL* session = TlsSession(easy_.get());
  if (session != nullptr) tls_.UseConnection(session);
  if (!facts_.connection_reused) {
    fd_ = opened_fd_;
    context_.sockets.Note(fd_, ends);
  } else if (SomethingIsUnread(ends, session)) {
    return Stop(AttemptState::kStale);
  } else {
    fd_ = context_.sockets.Find(ends);
    received_before_ = ReceivedBytes(fd_);
  }
  context_.by_socket.insert_or_assign(fd_, this);
  if (rehearsal_) return Stop(AttemptState::kRehearsed);
  if (now >= request_.send_before) return Stop(AttemptState::kTooLate);
  if (!state_.Is(AttemptState::kConnecting)) return CURL_PREREQFUNC_ABORT;
  state_.Enter(AttemptState::kSent);
  facts_.sent_at = now;
  response_.Expect();
  return CURL_PREREQFUNC_OK;
}

// Stops before the request is sent. An attempt that is already stopped keeps its state.
int Attempt::Stop(AttemptState why) {
  if (state_.Is(AttemptState::kConnecting)) state_.Enter(why);
  return CURL_PREREQFUNC_ABORT;
}

void Attempt::Abandon() { Stop(AttemptState::kAbandoned); }

// Before a request, nothing may be unread on a kept connection. It would be the endpoint's close_notify, or
// bytes that libcurl would read as the response to a request that the endpoint has not seen. libcurl checks
// only whether the socket is closed, and a close_notify does not close it.
bool Attempt::SomethingIsUnread(const std::string& ends, SSL* session) const {
  if (session != nullptr && SSL_has_pending(session) != 0) return true;
  char byte = 0;
  return ::recv(context_.sockets.Find(ends), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
         (errno != EAGAIN && errno != EWOULDBLOCK);
}

std::size_t Attempt::OnHeader(std::string_view line) {
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (!response_.OnHeader(line, status)) return 0;
  if (EndsHead(line)) {
    long version = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_VERSION, &version);
    // libcurl would also send the next request on this connection in HTTP/1.0.
    if (version == CURL_HTTP_VERSION_1_0) curl_easy_setopt(easy_.get(), CURLOPT_FORBID_REUSE, 1L);
  }
  return line.size();
}

std::size_t Attempt::OnBody(std::string_view bytes) {
  curl_off_t content_length = -1;
  curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &content_length);
  return response_.OnBody(bytes, content_length) ? bytes.size() : 0;
}

void Attempt::OnReadable(int fd) {
  if (!response_.AwaitsFirstByte() || tls_.has_tls()) return;
  char byte = 0;
  if (::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1) response_.NoteFirstByte();
}

// Sees a first byte that libcurl has already read, too. The system counts the end of the connection as a
// byte, so a response of a single byte looks like no response.
void Attempt::LookForFirstByte() {
  if (!response_.AwaitsFirstByte() || tls_.has_tls()) return;
  if (ReceivedBytes(fd_) > received_before_ + 1) response_.NoteFirstByte();
}

std::uint64_t Attempt::WireBytes() const {
  return tls_.has_tls() ? tls_.response_bytes() : ReceivedBytes(fd_) - received_before_;
}

void Attempt::LookAtWire() {
  if (!response_.IsExpected() || paused_) return;
  LookForFirstByte();
  if (WireBytes() <= kMaxWireBytes) return;
  paused_ = true;
  curl_easy_pause(easy_.get(), CURLPAUSE_RECV);
}

bool Attempt::IsAnswered() {
  if (sends_only_ && !paused_) response_.OnNothingLeftToRead();
  return response_.facts().state == ResponseState::kComplete;
}

void Attempt::NoteConnected(SteadyTime now) {
  facts_.connected_at = now;
  context_.reachability.NoteConnected(facts_.address, now);
}

AttemptFacts Attempt::Facts() const {
  AttemptFacts facts = facts_;
  facts.state = state_.state();
  facts.tls = tls_.facts();
  facts.response = response_.facts();
  facts.http_status = HttpStatus();
  facts.system_error = SystemError();
  facts.error_text = error_.data();
  facts.route = RouteAfter(facts.system_error);
  return facts;
}

std::optional<int> Attempt::HttpStatus() const {
  // libcurl also notes the status of a line that it then refuses.
  if (!response_.HasStatusLine()) return std::nullopt;
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  return status < 200 ? std::nullopt : std::optional(static_cast<int>(status));
}

int Attempt::SystemError() const {
  if (facts_.system_error != 0) return facts_.system_error;
  long error = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &error);
  return static_cast<int>(error);
}

Route Attempt::RouteAfter(int error) const {
  if (source_missing_) return Route::kNoSource;
  if (!IsNoRoute(error) && error != EADDRNOTAVAIL) return Route::kNotAsked;
  if (context_.reachability.HasRouteTo(facts_.address)) return Route::kExists;
  return context_.reachability.MissesRoute(facts_.address) ? Route::kLost : Route::kNever;
}

}  // namespace postcall::http
