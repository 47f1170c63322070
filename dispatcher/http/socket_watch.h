// Tells when sockets of libcurl and c-ares are ready. All of them are in one epoll set, which is one
// descriptor in the io_context. So one wake-up brings a batch, and a socket needs no second descriptor. One
// thread, the loop's.
//
// libcurl 7.88 closes some sockets first and reports it later. The kernel removes a closed socket from the
// set by itself, and a slot remembers which owner the number has now, so that a late report never touches the
// socket of another owner.
#pragma once

#include <sys/epoll.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <vector>

#include "common/unique_function.h"

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
    // `tag` is the one that was passed to Set for this socket.
    virtual void OnReady(int fd, Readiness readiness, void* tag) = 0;

   protected:
    ~Owner() = default;
  };

  // Throws std::system_error when the system cannot create an epoll set.
  explicit SocketWatch(boost::asio::io_context& loop);

  // Watches `fd` for `owner`, or changes which events it watches for.
  void Set(Owner& owner, int fd, bool readable, bool writable, void* tag = nullptr);
  // Does nothing when the number belongs to another owner by now.
  void Remove(Owner& owner, int fd);

  // Whether `fd` is watched for that owner with that tag.
  bool Watches(const Owner& owner, int fd, const void* tag) const;

  // Removes the tag, because its object is being destroyed; `fd` is still watched. Does nothing when `fd` has
  // another tag.
  void Untag(const Owner& owner, int fd, const void* tag);

  // Calls `ready` once, when a socket is ready.
  void AsyncWait(UniqueFunction<void()> ready);

  // Calls the owner of each socket that is ready, and `after_each` after each of these calls.
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
