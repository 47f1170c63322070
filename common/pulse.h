// Whether the program's threads still turn: each notes every turn of its loop, and one that has not turned
// for too long is stuck (CONTRACT §8, /healthz). Any thread.
#pragma once

#include <atomic>
#include <list>
#include <mutex>
#include <string>
#include <vector>

#include "common/clock.h"

namespace postcall {

class Pulse {
 public:
  class Beat {
   public:
    explicit Beat(std::string name) : name_(std::move(name)), turned_at_(Steady::now()) {}
    void Turned(SteadyTime now) { turned_at_.store(now, std::memory_order_relaxed); }
    const std::string& name() const { return name_; }
    SteadyTime turned_at() const { return turned_at_.load(std::memory_order_relaxed); }

   private:
    std::string name_;
    std::atomic<SteadyTime> turned_at_;
  };

  // A thread that is watched from now on. The reference holds as long as the pulse.
  Beat& Add(std::string name) {
    const std::lock_guard lock(mutex_);
    return beats_.emplace_back(std::move(name));
  }

  // The names of the threads that have not turned since `then`.
  std::vector<std::string> StuckSince(SteadyTime then) const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> stuck;
    for (const Beat& beat : beats_) {
      if (beat.turned_at() < then) stuck.push_back(beat.name());
    }
    return stuck;
  }

 private:
  mutable std::mutex mutex_;
  std::list<Beat> beats_;
};

}  // namespace postcall
