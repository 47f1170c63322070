// The agents whose calls cannot be read from the database, or not at once: a source view that raises an error
// or takes seconds. The claims of all agents step over them, and the slow lane reads them one by one. Any
// thread.
#pragma once

#include <map>
#include <vector>

#include "common/clock.h"
#include "common/mutex.h"
#include "schema/ids.h"

namespace postcall::dispatch {

class SlowReaders {
 public:
  // Before an agent leaves for the first time, this many of its calls in a row must be read without trouble.
  // After each return it is four times as many, so that an agent with few slow calls does not leave and
  // return all the time.
  static constexpr int kReadsToLeave = 3;
  static constexpr int kMoreAtEachReturn = 4;
  static constexpr int kMostReadsToLeave = 1000;
  // An agent that had no trouble for this long is forgotten.
  static constexpr Steady::duration kForgetAfter = std::chrono::minutes(10);

  // A call of the agent could not be read at once. `proven`: it was not only too slow for the short limit of
  // a claim of all agents.
  void NoteTrouble(const AgentId& agent, bool proven, SteadyTime now);
  // A call of the agent was read by the slow lane, without trouble.
  void NoteRead(const AgentId& agent);

  // The agents that are slow now, beginning with the one after `after`, so that each of them is served.
  std::vector<AgentId> After(const AgentId& after, SteadyTime now);

 private:
  struct Reader {
    bool slow = true;  // otherwise it has left, and is remembered
    bool proven = false;
    int reads_in_a_row = 0;
    int reads_to_leave = kReadsToLeave;
    SteadyTime trouble_at;
  };

  mutable Mutex mutex_;
  std::map<AgentId, Reader> readers_ GUARDED_BY(mutex_);
};

}  // namespace postcall::dispatch
