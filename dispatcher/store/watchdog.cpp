#include "dispatcher/store/watchdog.h"

#include <sys/socket.h>

#include <algorithm>

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

void Watchdog::LimitBy(SteadyTime deadline) {
  const std::lock_guard lock(mutex_);
  limit_ = std::min(limit_, deadline);
  wake_.notify_one();
}

SteadyTime Watchdog::limit() const {
  const std::lock_guard lock(mutex_);
  return limit_;
}

Watchdog::Watch::Watch(Watchdog& watchdog, int socket, Steady::duration limit) : watchdog_(watchdog) {
  const std::lock_guard lock(watchdog_.mutex_);
  watchdog_.begun_at_ = Steady::now();
  watchdog_.deadline_ = watchdog_.begun_at_ + limit;
  watchdog_.socket_ = socket;
}

// From here on the socket may be closed, and its number belong to somebody else.
Watchdog::Watch::~Watch() {
  const std::lock_guard lock(watchdog_.mutex_);
  watchdog_.socket_ = -1;
}

void Watchdog::Run() {
  std::unique_lock lock(mutex_);
  SteadyTime looked_at = Steady::now();
  while (!stopping_) {
    const SteadyTime now = Steady::now();
    // A process that was frozen did not wait meanwhile: the answer may have come, and nobody could read it.
    const Steady::duration unseen = now - std::max(looked_at, begun_at_);
    if (unseen > 2 * kLookEvery) deadline_ += unseen;
    looked_at = now;
    if (socket_ >= 0 && now >= std::min(deadline_, limit_)) {
      ::shutdown(socket_, SHUT_RDWR);
      socket_ = -1;
    }
    wake_.wait_until(lock, limit_ > now ? std::min(now + kLookEvery, limit_) : now + kLookEvery);
  }
}

}  // namespace postcall::store
