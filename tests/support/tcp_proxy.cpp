#include "tests/support/tcp_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <list>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "common/handle.h"
#include "tests/support/statement_watch.h"

namespace postcall::test {
namespace {

sockaddr_in Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

FileDescriptor Listen() {
  FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(0);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 16) != 0) {
    throw std::runtime_error("the proxy cannot listen");
  }
  return listener;
}

std::uint16_t PortOf(const FileDescriptor& listener) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

// The messages are small and the sockets local, so bytes that do not fit at once fit a moment later.
void SendAll(const FileDescriptor& to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;  // the reading side notices
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

}  // namespace

class TcpProxy::Loop {
 public:
  explicit Loop(std::uint16_t server_port)
      : server_port_(server_port),
        listener_(Listen()),
        port_(PortOf(listener_)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        thread_([this] { Run(); }) {}

  ~Loop() {
    Change([](Loop& loop) { loop.stopping_ = true; });
    thread_.join();
  }

  std::uint16_t port() const { return port_; }

  template <class Action>
  void Change(Action action) {
    const std::lock_guard lock(mutex_);
    action(*this);
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
  }

  template <class Question>
  auto Ask(Question question) const {
    const std::lock_guard lock(mutex_);
    return question(*this);
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable fault_happened_;
  // Guarded by mutex_.
  CommitFault next_fault_ = CommitFault::kNone;
  std::string next_of_;
  std::function<void()> next_then_;
  bool stalled_ = false;
  bool stopping_ = false;
  bool release_held_ = false;
  bool drop_held_ = false;
  bool cut_all_ = false;
  int faults_ = 0;
  int connections_ = 0;

 private:
  struct Link {
    FileDescriptor client;
    FileDescriptor server;
    StatementWatch statements;
    CommitFault fault = CommitFault::kNone;  // the fault that its COMMIT had
    std::function<void()> then;
    std::string held;  // bytes that are kept back from the server
    bool over = false;
  };

  void Run() {
    while (true) {
      std::vector<pollfd> sockets;
      {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        Settle();
        sockets.push_back({.fd = wake_.get(), .events = POLLIN, .revents = 0});
        if (!stalled_) {
          sockets.push_back({.fd = listener_.get(), .events = POLLIN, .revents = 0});
          for (const Link& link : links_) {
            if (link.client) sockets.push_back({.fd = link.client.get(), .events = POLLIN, .revents = 0});
            if (link.held.empty())
              sockets.push_back({.fd = link.server.get(), .events = POLLIN, .revents = 0});
          }
        }
      }
      ::poll(sockets.data(), sockets.size(), -1);
      std::uint64_t ignored;
      while (::read(wake_.get(), &ignored, sizeof ignored) > 0) {
      }
      const std::lock_guard lock(mutex_);
      if (stalled_) continue;
      const auto is_ready = [&](const FileDescriptor& fd) {
        return std::ranges::any_of(sockets,
                                   [&](const pollfd& s) { return s.fd == fd.get() && s.revents != 0; });
      };
      for (Link& link : links_) {
        if (link.client && is_ready(link.client)) FromClient(link);
        if (!link.over && is_ready(link.server)) FromServer(link);
      }
      links_.remove_if([](const Link& link) { return link.over; });
      if (is_ready(listener_)) Accept();
    }
  }

  void Accept() {
    Link link;
    link.client.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    link.server.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = Loopback(server_port_);
    if (!link.client ||
        ::connect(link.server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return;
    }
    ++connections_;
    links_.push_back(std::move(link));
  }

  // Does not block, because poll said that there are bytes. Empty at the end of the stream.
  std::string_view Receive(const FileDescriptor& from) {
    const ssize_t length = ::recv(from.get(), buffer_.data(), buffer_.size(), 0);
    return {buffer_.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
  }

  void FromClient(Link& link) {
    const std::string_view bytes = Receive(link.client);
    if (bytes.empty()) {
      link.over = true;
      return;
    }
    const std::optional<std::string> committed = link.statements.Read(bytes);
    if (next_fault_ != CommitFault::kNone && committed && committed->find(next_of_) != std::string::npos) {
      link.fault = std::exchange(next_fault_, CommitFault::kNone);
      link.then = std::exchange(next_then_, nullptr);
      if (link.fault == CommitFault::kCutBeforeRequest || link.fault == CommitFault::kHold) Hit(link);
    }
    switch (link.fault) {
      case CommitFault::kNone:
      case CommitFault::kPass:
      case CommitFault::kCutBeforeAnswer:
      case CommitFault::kCutAfterAnswer:
        SendAll(link.server, bytes);
        return;
      case CommitFault::kCutBeforeRequest:
        link.over = true;
        return;
      case CommitFault::kHold:
        link.held = bytes;
        link.client.reset();
        return;
    }
  }

  void FromServer(Link& link) {
    const std::string_view bytes = Receive(link.server);
    if (bytes.empty() || link.fault == CommitFault::kCutBeforeAnswer || !link.client) {
      if (link.fault == CommitFault::kCutBeforeAnswer) Hit(link);
      link.over = true;
      return;
    }
    if (link.fault == CommitFault::kPass) {
      Hit(link);
      link.fault = CommitFault::kNone;
    }
    SendAll(link.client, bytes);
    if (link.fault == CommitFault::kCutAfterAnswer) {
      Hit(link);
      link.over = true;
    }
  }

  void Hit(Link& link) {
    if (link.then) link.then();
    ++faults_;
    fault_happened_.notify_all();
  }

  // Does what ReleaseHeld and DropHeld asked for.
  void Settle() {
    for (Link& link : links_) {
      if (link.held.empty()) continue;
      if (drop_held_) link.over = true;
      if (release_held_) {
        SendAll(link.server, link.held);
        link.held.clear();  // its answer ends the link
      }
    }
    links_.remove_if([this](const Link& link) { return link.over || cut_all_; });
    drop_held_ = release_held_ = cut_all_ = false;
  }

  const std::uint16_t server_port_;
  const FileDescriptor listener_;
  const std::uint16_t port_;
  const FileDescriptor wake_;
  std::list<Link> links_;             // only the proxy's thread uses it
  std::array<char, 65536> buffer_{};  // only the proxy's thread uses it
  std::thread thread_;
};

TcpProxy::TcpProxy(std::uint16_t server_port) : loop_(std::make_unique<Loop>(server_port)) {}
TcpProxy::~TcpProxy() = default;

std::uint16_t TcpProxy::port() const { return loop_->port(); }

void TcpProxy::FailNextCommit(CommitFault fault, const std::string& of, std::function<void()> then) {
  loop_->Change([&](Loop& loop) {
    loop.next_fault_ = fault;
    loop.next_of_ = of;
    loop.next_then_ = std::move(then);
  });
}
void TcpProxy::ReleaseHeld() {
  loop_->Change([](Loop& loop) { loop.release_held_ = true; });
}
void TcpProxy::DropHeld() {
  loop_->Change([](Loop& loop) { loop.drop_held_ = true; });
}
void TcpProxy::Stall(bool stalled) {
  loop_->Change([=](Loop& loop) { loop.stalled_ = stalled; });
}
void TcpProxy::CutAll() {
  loop_->Change([](Loop& loop) { loop.cut_all_ = true; });
}
bool TcpProxy::WaitForFaults(int count, std::chrono::milliseconds limit) const {
  std::unique_lock lock(loop_->mutex_);
  return loop_->fault_happened_.wait_for(lock, limit, [&] { return loop_->faults_ >= count; });
}
int TcpProxy::faults() const {
  return loop_->Ask([](const Loop& loop) { return loop.faults_; });
}
int TcpProxy::connections() const {
  return loop_->Ask([](const Loop& loop) { return loop.connections_; });
}

}  // namespace postcall::test
