// A mutex whose use clang checks at compile time (-Wthread-safety): a field that is GUARDED_BY it may be used
// only where a MutexLock holds it. std::mutex of libstdc++ has no annotations, so clang cannot check it. Any
// thread.
#pragma once

#include <condition_variable>
#include <mutex>

#include "common/clock.h"

#if defined(__clang__)
#define POSTCALL_ANNOTATION(text) __attribute__((text))
#else
#define POSTCALL_ANNOTATION(text)  // GCC has no such analysis
#endif

#define GUARDED_BY(mutex) POSTCALL_ANNOTATION(guarded_by(mutex))         // a field
#define REQUIRES(mutex) POSTCALL_ANNOTATION(requires_capability(mutex))  // a function; the caller holds it

namespace postcall {

class POSTCALL_ANNOTATION(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

 private:
  friend class MutexLock;
  std::mutex mutex_;
};

// Holds the mutex while it lives.
class POSTCALL_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) POSTCALL_ANNOTATION(acquire_capability(mutex)) : lock_(mutex.mutex_) {}
  ~MutexLock() POSTCALL_ANNOTATION(release_capability()) = default;
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  friend class CondVar;
  std::unique_lock<std::mutex> lock_;
};

// A condition variable. Wait releases the lock while it waits and holds it again on return; it may return
// without a notification, so call it in a loop. There is no form with a predicate, because the analysis does
// not know that the lock is held in a lambda.
class CondVar {
 public:
  void Wait(MutexLock& lock) { changed_.wait(lock.lock_); }
  // Also returns when `by` has passed.
  void WaitUntil(MutexLock& lock, SteadyTime by) { changed_.wait_until(lock.lock_, by); }
  void NotifyOne() { changed_.notify_one(); }
  void NotifyAll() { changed_.notify_all(); }

 private:
  std::condition_variable changed_;
};

}  // namespace postcall
