#include "tests/support/closed_ports.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "common/clock.h"

namespace postcall::test {
namespace {

using boost::asio::ip::tcp;

void Check(int returned, const char* what) {
  if (returned < 0) throw std::system_error(errno, std::generic_category(), what);
}

FileDescriptor BoundSocket(const tcp::endpoint& wanted, tcp::endpoint& bound) {
  FileDescriptor fd(::socket(wanted.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  Check(fd.get(), "socket");
  Check(::bind(fd.get(), wanted.data(), static_cast<socklen_t>(wanted.size())), "bind");
  bound = wanted;
  auto size = static_cast<socklen_t>(bound.capacity());
  Check(::getsockname(fd.get(), bound.data(), &size), "getsockname");
  return fd;
}

// Whether the connection was made before `limit`. In both cases the socket stays open.
bool Connects(const FileDescriptor& fd, const tcp::endpoint& to, int limit_ms) {
  if (::connect(fd.get(), to.data(), static_cast<socklen_t>(to.size())) == 0) return true;
  if (errno != EINPROGRESS) throw std::system_error(errno, std::generic_category(), "connect");
  pollfd waiting{.fd = fd.get(), .events = POLLOUT, .revents = 0};
  return ::poll(&waiting, 1, limit_ms) == 1;
}

}  // namespace

FullBacklog::FullBacklog(const std::string& address) {
  tcp::endpoint bound;
  listener_ = BoundSocket({boost::asio::ip::make_address(address), 0}, bound);
  port_ = bound.port();
  Check(::listen(listener_.get(), 0), "listen");
  // The kernel drops a SYN when the queue is full, and the peer sends it again after a second. So a
  // connection that is not made after 200 ms is one that waits.
  for (int tries = 0; tries < 64; ++tries) {
    FileDescriptor client(::socket(bound.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    Check(client.get(), "socket");
    const bool full = !Connects(client, bound, 200);
    waiting_.push_back(std::move(client));
    if (full) return;
  }
  throw std::runtime_error("the queue of a listening socket never fills up on this machine");
}

bool FullBacklog::WaitForHanging(int count) const {
  constexpr unsigned kSynSent = 2;
  const SteadyTime limit = Steady::now() + std::chrono::seconds(20);
  while (Steady::now() < limit) {
    // The last of `waiting_` hangs, too.
    int hanging = -1;
    std::ifstream sockets("/proc/net/tcp");
    std::string line;
    while (std::getline(sockets, line)) {
      unsigned port = 0, state = 0;
      if (std::sscanf(line.c_str(), " %*d: %*8x:%*4x %*8x:%4x %2x", &port, &state) == 2 && port == port_ &&
          state == kSynSent)
        ++hanging;
    }
    if (hanging >= count) return true;
    std::this_thread::yield();
  }
  return false;
}

void FullBacklog::Empty() {
  waiting_.clear();
  pollfd queue{.fd = listener_.get(), .events = POLLIN, .revents = 0};
  while (::poll(&queue, 1, 0) == 1) {
    const FileDescriptor accepted(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    Check(accepted.get(), "accept4");
  }
}

RefusingPort::RefusingPort(const std::string& address) {
  tcp::endpoint bound;
  bound_ = BoundSocket({boost::asio::ip::make_address(address), 0}, bound);
  port_ = bound.port();
}

}  // namespace postcall::test
