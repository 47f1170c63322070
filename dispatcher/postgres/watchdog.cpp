#include "dispatcher/postgres/watchdog.h"

#include <sys/socket.h>

#include <algorithm>
#include <chrono>

namespace postcall::postgres {
namespace {

// The thread looks once per second instead of being woken for each statement, so a watch costs almost
// nothing.
constexpr std::chrono::seconds kLookEvery{1};

}  // namespace

Watchdog::Watchdog() : thread_([this] { Run(); }) {}

Watchdog::~Watchdog() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  wake_.NotifyOne();
  thread_.join();
}

void Watchdog::LimitBy(SteadyTime deadline) {
  const MutexLock lock(mutex_);
  limit_ = std::min(limit_, deadline);
  wake_.NotifyOne();
}

SteadyTime Watchdog::limit() const {
  const MutexLock lock(mutex_);
  return limit_;
}

Watchdog::Watch::Watch(Watchdog& watchdog, int socket, Steady::duration limit) : watchdog_(watchdog) {
  const MutexLock lock(watchdog_.mutex_);
  watchdog_.begun_at_ = Steady::now();
  watchdog_.deadline_ = watchdog_.begun_at_ + limit;
  watchdog_.socket_ = socket;
}

// From here on the socket may be closed, and another file may get its number.
Watchdog::Watch::~Watch() {
  const MutexLock lock(watchdog_.mutex_);
  watchdog_.socket_ = -1;
}

void Watchdog::Run() {
  MutexLock lock(mutex_);
  SteadyTime looked_at = Steady::now();
  while (!stopping_) {
    const SteadyTime now = Steady::now();
    // The time in which this process was frozen does not count: the answer may have arrived, but no thread
    // could read it.
    const Steady::duration unseen = now - std::max(looked_at, begun_at_);
    if (unseen > 2 * kLookEvery) deadline_ += unseen;
    looked_at = now;
    if (socket_ >= 0 && now >= std::min(deadline_, limit_)) {
      ::shutdown(socket_, SHUT_RDWR);
      socket_ = -1;
    }
    wake_.WaitUntil(lock, limit_ > now ? std::min(now + kLookEvery, limit_) : now + kLookEvery);
  }
}

}  // namespace postcall::postgres
