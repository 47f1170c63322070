// Whether the program's threads make progress: each notes every iteration of its loop, and one that has noted
// none for too long is stuck (CONTRACT §8, /healthz). Any thread.
#pragma once

#include <atomic>
#include <list>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/mutex.h"

namespace postcall {

class Progress {
 public:
  class Thread {
   public:
    explicit Thread(std::string name) : name_(std::move(name)), noted_(Steady::now()) {}
    // `moment` is now, or in the future when the thread waits until then and need not make progress before.
    void Note(SteadyTime moment) { noted_.store(moment, std::memory_order_relaxed); }
    const std::string& name() const { return name_; }
    SteadyTime noted() const { return noted_.load(std::memory_order_relaxed); }

   private:
    std::string name_;
    std::atomic<SteadyTime> noted_;
  };

  // Watches a thread from now on. The reference is valid as long as this object exists.
  Thread& Add(std::string name) {
    const MutexLock lock(mutex_);
    return threads_.emplace_back(std::move(name));
  }

  // The names of the threads without progress since `then`.
  std::vector<std::string> StuckSince(SteadyTime then) const {
    const MutexLock lock(mutex_);
    std::vector<std::string> stuck;
    for (const Thread& thread : threads_) {
      if (thread.noted() < then) stuck.push_back(thread.name());
    }
    return stuck;
  }

 private:
  mutable Mutex mutex_;
  std::list<Thread> threads_ GUARDED_BY(mutex_);
};

}  // namespace postcall
