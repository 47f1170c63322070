#include "common/worker.h"

#include <algorithm>

namespace postcall {

void Worker::Start(UniqueFunction<void()> body) {
  thread_ = std::thread([this, body = std::move(body)]() mutable {
    NoteProgress();
    body();
  });
}

void Worker::Wake() {
  const MutexLock lock(mutex_);
  woken_ = true;
  changed_.NotifyOne();
}

void Worker::RequestStop() {
  const MutexLock lock(mutex_);
  if (std::exchange(stopping_, true)) return;
  woken_ = true;
  changed_.NotifyOne();
}

bool Worker::stopping() const {
  const MutexLock lock(mutex_);
  return stopping_;
}

void Worker::Stop() {
  RequestStop();
  if (thread_.joinable()) thread_.join();
}

void Worker::WaitUntil(SteadyTime by) {
  progress_.Note(std::max(by, Steady::now()));
  {
    MutexLock lock(mutex_);
    while (!woken_ && Steady::now() < by) changed_.WaitUntil(lock, by);
    woken_ = false;
  }
  NoteProgress();
}

bool Worker::PauseFor(Steady::duration length) {
  if (!stopping()) WaitUntil(Steady::now() + length);
  return !stopping();
}

}  // namespace postcall
