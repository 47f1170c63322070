#include "dispatcher/dispatch/slow_readers.h"

#include <algorithm>

namespace postcall::dispatch {

void SlowReaders::NoteTrouble(const AgentId& agent, bool proven, SteadyTime now) {
  const MutexLock lock(mutex_);
  const auto [reader, is_new] = readers_.try_emplace(agent);
  if (!is_new && !reader->second.slow) {
    reader->second.reads_to_leave =
        std::min(kMostReadsToLeave, reader->second.reads_to_leave * kMoreAtEachReturn);
  }
  reader->second.slow = true;
  reader->second.proven |= proven;
  reader->second.reads_in_a_row = 0;
  reader->second.trouble_at = now;
}

void SlowReaders::NoteRead(const AgentId& agent) {
  const MutexLock lock(mutex_);
  const auto found = readers_.find(agent);
  if (found == readers_.end()) return;
  Reader& reader = found->second;
  if (++reader.reads_in_a_row >= (reader.proven ? reader.reads_to_leave : 1)) reader.slow = false;
}

std::vector<AgentId> SlowReaders::After(const AgentId& after, SteadyTime now) {
  const MutexLock lock(mutex_);
  std::erase_if(readers_, [now](const auto& entry) { return now - entry.second.trouble_at >= kForgetAfter; });
  // Agents that may be slow by mistake do not wait for those that are slow.
  std::vector<AgentId> agents;
  for (const bool proven : {false, true}) {
    const auto first = static_cast<std::ptrdiff_t>(agents.size());
    std::ptrdiff_t before = 0;  // agents up to `after`
    for (const auto& [agent, reader] : readers_) {
      if (!reader.slow || reader.proven != proven) continue;
      agents.push_back(agent);
      if (agent.get() <= after.get()) ++before;
    }
    std::rotate(agents.begin() + first, agents.begin() + first + before, agents.end());
  }
  return agents;
}

}  // namespace postcall::dispatch
