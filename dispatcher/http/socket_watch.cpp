#include "dispatcher/http/socket_watch.h"

#include <cerrno>
#include <cstddef>
#include <system_error>
#include <utility>

namespace postcall::http {
namespace {

// Small, so that other work of the loop never waits long.
constexpr std::size_t kBatch = 64;

int MakeEpoll() {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  return fd;
}

}  // namespace

SocketWatch::SocketWatch(boost::asio::io_context& loop) : epoll_(loop, MakeEpoll()), ready_(kBatch) {}

void SocketWatch::Set(Owner& owner, int fd, bool readable, bool writable, void* tag) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= slots_.size()) slots_.resize(index + 1);
  const bool known = slots_[index].owner != nullptr;
  slots_[index] = {&owner, tag};

  epoll_event event{};
  event.data.fd = fd;
  if (readable) event.events |= EPOLLIN;
  if (writable) event.events |= EPOLLOUT;
  const int set = epoll_.native_handle();
  // Only the kernel knows whether the socket is in the set: it removes a socket that is closed.
  if (::epoll_ctl(set, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0) return;
  ::epoll_ctl(set, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
}

void SocketWatch::Remove(Owner& owner, int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= slots_.size() || slots_[index].owner != &owner) return;
  slots_[index] = {};
  ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, fd, nullptr);
}

bool SocketWatch::Watches(const Owner& owner, int fd, const void* tag) const {
  const auto index = static_cast<std::size_t>(fd);
  return index < slots_.size() && slots_[index].owner == &owner && slots_[index].tag == tag;
}

void SocketWatch::Untag(const Owner& owner, int fd, const void* tag) {
  if (fd >= 0 && Watches(owner, fd, tag)) slots_[static_cast<std::size_t>(fd)].tag = nullptr;
}

void SocketWatch::AsyncWait(UniqueFunction<void()> ready) {
  epoll_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [ready = std::move(ready)](boost::system::error_code error) mutable {
                      if (!error) ready();
                    });
}

void SocketWatch::Dispatch(const std::function<void()>& after_each) {
  const int count = ::epoll_wait(epoll_.native_handle(), ready_.data(), static_cast<int>(ready_.size()), 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = ready_[static_cast<std::size_t>(i)];
    // The handler of an earlier event in this batch may have closed it.
    const Slot slot = slots_[static_cast<std::size_t>(event.data.fd)];
    if (slot.owner == nullptr) continue;
    slot.owner->OnReady(event.data.fd,
                        {.readable = (event.events & (EPOLLIN | EPOLLHUP)) != 0,
                         .writable = (event.events & EPOLLOUT) != 0,
                         .error = (event.events & (EPOLLERR | EPOLLHUP)) != 0},
                        slot.tag);
    after_each();
  }
}

}  // namespace postcall::http
