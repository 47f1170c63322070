// Tells when sockets of libcurl and c-ares are ready. One epoll set for all of them, which is itself one
// descriptor in the io_context, so a wake-up brings a batch and a socket costs no second descriptor.
// One thread, the loop's.
//
// libcurl 7.88 closes some sockets first and reports it later. The kernel takes a closed socket out of the
// set by itself, and a slot remembers whose the number is now, so a late report never touches somebody
// else's.
#pragma once

#include <sys/epoll.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <span>
#include <vector>

#include "common/handle.h"

namespace postcall::http {

class SocketWatch {
 public:
  struct Readiness {
    bool readable;
    bool writable;
    bool error;
  };
  class Owner {
   public:
    // `tag` is what Set was given for the socket.
    virtual void OnReady(int fd, Readiness readiness, void* tag) = 0;

   protected:
    ~Owner() = default;
  };

  // Throws std::system_error when the system gives no epoll set.
  explicit SocketWatch(boost::asio::io_context& loop);

  // Watches `fd` for `owner`, or changes what is watched for.
  void Set(Owner& owner, int fd, bool readable, bool writable, void* tag = nullptr);
  // Nothing happens when the number belongs to another owner by now.
  void Remove(Owner& owner, int fd);

  // Whether `fd` is watched for that owner with that tag.
  bool Watches(const Owner& owner, int fd, const void* tag) const;

  // Calls `ready` once, when a socket is ready.
  void AsyncWait(std::function<void()> ready);

  // Calls the owner of each socket that is ready, `after_each` after each of them.
  void Dispatch(const std::function<void()>& after_each);

 private:
  struct Slot {
    Owner* owner = nullptr;
    void* tag = nullptr;
  };

  boost::asio::posix::stream_descriptor epoll_;
  std::vector<Slot> slots_;  // by descriptor
  std::vector<epoll_event> ready_;
};

}  // namespace postcall::http
