// Counts the agents that had deliveries in the last ten minutes, and those of them for which none succeeded.
// The two numbers tell one broken customer from a broken platform, without an agent's name in a label
// (CONTRACT §8). Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "common/clock.h"
#include "common/mutex.h"
#include "schema/ids.h"

namespace postcall::metrics {

class AgentHealth {
 public:
  struct Counts {
    std::size_t active = 0;   // agents with at least one delivery that ended
    std::size_t failing = 0;  // those of them without a delivered one
  };

  // A delivery of this agent ended.
  void Note(const AgentId& agent, bool delivered, SteadyTime now);

  // Over the ten minutes before `now`.
  Counts Count(SteadyTime now);

 private:
  struct Last {
    SteadyTime any;
    std::optional<SteadyTime> delivered;
  };

  void Forget(SteadyTime now) REQUIRES(mutex_);

  Mutex mutex_;
  // The key is the hash of the id, because an id can have any length.
  std::unordered_map<std::uint64_t, Last> agents_ GUARDED_BY(mutex_);
  SteadyTime forgot_at_ GUARDED_BY(mutex_){};
};

}  // namespace postcall::metrics
