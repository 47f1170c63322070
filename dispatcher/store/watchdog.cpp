#include "dispatcher/store/watchdog.h"

#include <sys/socket.h>

namespace postcall::store {
namespace {

// Looking once a second, rather than being woken for each statement, makes a watch cost next to nothing.
constexpr std::chrono::seconds kLookEvery{1};

}  // namespace

Watchdog::Watchdog() : thread_([this] { Run(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Watchdog::Watch::Watch(Watchdog& watchdog, int socket, Steady::duration limit) : watchdog_(watchdog) {
  const std::lock_guard lock(watchdog_.mutex_);
  watchdog_.deadline_ = Steady::now() + limit;
  watchdog_.socket_ = socket;
}

// From here on the socket may be closed, and its number belong to somebody else.
Watchdog::Watch::~Watch() {
  const std::lock_guard lock(watchdog_.mutex_);
  watchdog_.socket_ = -1;
}

void Watchdog::Run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLookEvery, [this] { return stopping_; })) {
    if (socket_ >= 0 && Steady::now() >= deadline_) {
      ::shutdown(socket_, SHUT_RDWR);
      socket_ = -1;
    }
  }
}

}  // namespace postcall::store
