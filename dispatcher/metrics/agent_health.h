// How many agents had deliveries in the last ten minutes, and how many of them had none delivered: the number
// that tells one broken customer from a broken platform, with no agent's name in a label (CONTRACT §8).
// Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "common/clock.h"
#include "schema/ids.h"

namespace postcall::metrics {

class AgentHealth {
 public:
  struct Counts {
    std::size_t active = 0;   // agents with any delivery that ended
    std::size_t failing = 0;  // of those, the ones with none delivered
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

  void Forget(SteadyTime now);

  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Last> agents_;  // by the hash of the id, which may be of any length
  SteadyTime forgot_at_{};
};

}  // namespace postcall::metrics
