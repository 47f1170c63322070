#include "tests/fuzz/stepped_endpoint.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

#include "common/clock.h"
#include "tests/fuzz/require.h"

namespace postcall::fuzz {
namespace {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

sockaddr* AsSocketAddress(sockaddr_in& address) { return reinterpret_cast<sockaddr*>(&address); }

// The socket at the other end of a connection, which is in this process too; -1 when it is closed.
int PeerInThisProcess(int fd) {
  sockaddr_in peer{};
  socklen_t size = sizeof(peer);
  if (::getpeername(fd, AsSocketAddress(peer), &size) != 0) return -1;
  for (int other = 3; other < 64; ++other) {
    sockaddr_in own{};
    size = sizeof(own);
    if (::getsockname(other, AsSocketAddress(own), &size) == 0 && own.sin_family == AF_INET &&
        own.sin_port == peer.sin_port && own.sin_addr.s_addr == peer.sin_addr.s_addr) {
      return other;
    }
  }
  return -1;
}

}  // namespace

SteppedEndpoint::SteppedEndpoint()
    : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  // With this a big request does not fit into the sockets, because the engine's socket buffer also depends on
  // the segments' size.
  const int window = 4096;
  const int segment = 1024;
  const int no_delay = 1;
  ::setsockopt(listener_.get(), SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
  ::setsockopt(listener_.get(), IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
  ::setsockopt(listener_.get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof(no_delay));
  Require(::bind(listener_.get(), AsSocketAddress(address), size) == 0 &&
              ::listen(listener_.get(), 16) == 0 &&
              ::getsockname(listener_.get(), AsSocketAddress(address), &size) == 0,
          "the endpoint listens", {});
  port_ = ntohs(address.sin_port);
}

void SteppedEndpoint::Expect(const std::string& target, const AnswerScript& answer) {
  if (answering_ != nullptr && !answering_->closed) WaitUntilArrived(*answering_);
  target_ = target;
  answer_ = &answer;
  next_step_ = 0;
  step_sent_ = 0;
  answering_ = nullptr;
  requests_ = 0;
  sent_.clear();
}

bool SteppedEndpoint::Step() {
  bool did = Accept();
  for (Connection& connection : connections_) {
    // When the answer comes early, the request is read after the answer is sent.
    if (&connection == answering_ && answer_->early && next_step_ < answer_->steps.size()) continue;
    did = Read(connection) || did;
  }
  return Answer() || did;
}

bool SteppedEndpoint::Accept() {
  bool did = false;
  for (;;) {
    FileDescriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) return did;
    connections_.push_back({.socket = std::move(socket), .unread = {}});
    did = true;
  }
}

bool SteppedEndpoint::Read(Connection& connection) {
  std::array<char, 64 * 1024> buffer;  // NOLINT: filled by recv
  const ssize_t got = ::recv(connection.socket.get(), buffer.data(), buffer.size(), 0);
  if (got <= 0) return false;
  std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
  while (!bytes.empty()) {
    const std::size_t of_body = std::min(bytes.size(), connection.body_left);
    connection.body_left -= of_body;
    bytes.remove_prefix(of_body);
    if (bytes.empty()) break;
    connection.unread += bytes.front();
    bytes.remove_prefix(1);
    if (connection.unread.ends_with("\r\n\r\n")) TakeHead(connection);
  }
  const bool may_answer = connection.body_left == 0 || answer_->early;
  if (answering_ == nullptr && requests_ > 0 && connection.unread.empty() && may_answer)
    answering_ = &connection;
  return true;
}

// The head of a request is complete: checks that it is the expected one.
void SteppedEndpoint::TakeHead(Connection& connection) {
  const std::string head = std::exchange(connection.unread, {});
  Require(head.starts_with("POST " + target_ + " HTTP/1.1\r\n"), "a request is the POST that was made",
          {head, target_});
  ++requests_;
  Require(requests_ == 1, "a POST is sent once", {head});
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  const std::size_t at = head.find(kLength);
  Require(at != std::string::npos, "a request says how long it is", {head});
  std::from_chars(head.data() + at + kLength.size(), head.data() + head.size(), connection.body_left);
}

bool SteppedEndpoint::Answer() {
  if (answering_ == nullptr || next_step_ == answer_->steps.size()) return false;
  const AnswerStep& step = answer_->steps[next_step_];
  switch (step.kind) {
    case AnswerStep::Kind::kSend: {
      const std::string_view left = std::string_view(step.bytes).substr(step_sent_);
      const ssize_t sent = ::send(answering_->socket.get(), left.data(), left.size(), MSG_NOSIGNAL);
      if (sent < 0) return false;  // the engine reads no more, now or never again
      sent_.append(left.substr(0, static_cast<std::size_t>(sent)));
      answering_->bytes_sent += static_cast<std::uint64_t>(sent);
      step_sent_ += static_cast<std::size_t>(sent);
      if (step_sent_ < step.bytes.size()) return true;
      break;
    }
    case AnswerStep::Kind::kFin:
      ::shutdown(answering_->socket.get(), SHUT_WR);
      answering_->closed = true;
      break;
    case AnswerStep::Kind::kReset:
      Reset(*answering_);
      break;
    case AnswerStep::Kind::kSilence:
      return false;
  }
  ++next_step_;
  step_sent_ = 0;
  return true;
}

bool SteppedEndpoint::silent() const {
  return answering_ != nullptr && next_step_ < answer_->steps.size() &&
         answer_->steps[next_step_].kind == AnswerStep::Kind::kSilence;
}

bool SteppedEndpoint::GiveUp() {
  if (answering_ == nullptr || answering_->closed) return false;
  ::shutdown(answering_->socket.get(), SHUT_WR);
  next_step_ = answer_->steps.size();
  return answering_->closed = true;
}

void SteppedEndpoint::Finish() {
  while (Answer()) {
  }
  // When a request or an answer is not complete, no other one can follow on that connection.
  if (answering_ == nullptr || answering_->closed) return;
  if (answering_->body_left > 0 || step_sent_ > 0) Reset(*answering_);
}

// Otherwise the engine would read a byte that is still on its way as the answer to the next request, and it
// would be right.
void SteppedEndpoint::WaitUntilArrived(const Connection& connection) {
  const int peer = PeerInThisProcess(connection.socket.get());
  for (const SteadyTime end = Steady::now() + 1s; peer >= 0 && Steady::now() < end;) {
    tcp_info info{};
    socklen_t size = sizeof(info);
    if (::getsockopt(peer, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return;
    if (info.tcpi_bytes_received >= connection.bytes_sent) return;
  }
}

void SteppedEndpoint::ResetAll() {
  Accept();
  for (Connection& connection : connections_) {
    while (Read(connection)) {
    }
    if (connection.socket) Reset(connection);
  }
  connections_.clear();
  answering_ = nullptr;
}

// Closes without TIME_WAIT, because thousands of these per minute would use all ports.
void SteppedEndpoint::Reset(Connection& connection) {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(connection.socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  connection.socket.reset();
  connection.closed = true;
}

}  // namespace postcall::fuzz
