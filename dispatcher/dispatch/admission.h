// Who may hold a slot: the limits of one instance (CONTRACT §5) over all of its deliveries in flight. The
// claim asks before it takes a row, so that nothing waits in memory and no tenant's trouble is another's. Any
// thread: the claim thread admits, the network threads release; one mutex guards the counts.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "schema/ids.h"

namespace postcall::dispatch {

struct AdmissionLimits {
  int in_flight = 2000;
  int per_agent = 50;
  int per_endpoint = 200;
  double slow_share = 0.25;  // part of `in_flight` that slow agents may hold together; at least one slot
  std::int64_t body_bytes = 512LL << 20;
};

class Admission {
 public:
  // An agent is slow while one of its deliveries has been in flight for kSlowAfter, and after that until
  // kFastToRecover deliveries in a row were faster, or nothing of it was seen for kSlowMemory.
  static constexpr Steady::duration kSlowAfter = std::chrono::seconds(1);
  static constexpr Steady::duration kSlowMemory = std::chrono::seconds(60);
  static constexpr int kFastToRecover = 3;

  explicit Admission(AdmissionLimits limits) : limits_(limits) {}

  // What a claim may take at most right now.
  struct Room {
    int slots = 0;                                    // 0: claim nothing
    std::int64_t body_bytes = 0;                      // at least 1 while slots > 0
    std::vector<std::pair<AgentId, int>> exceptions;  // agents that may have fewer than `per_agent` rows
  };
  // An agent that is stepped over because its endpoint is full counts as seen.
  Room RoomFor(int per_agent, SteadyTime now);

  struct Slot;
  using Ticket = std::list<Slot>::iterator;

  // Takes a slot, or says no.
  bool TryAdmit(const AgentId& agent, const std::string& endpoint, SteadyTime now, Ticket& ticket);
  // Takes `bytes` of memory for the slot's body, or says no; once a slot. A body larger than the whole limit
  // is let in when no other is held, so that it is sent at all.
  bool TryHoldBody(Ticket ticket, std::int64_t bytes);

  // The delivery is over. `counts` is false when it says nothing about the agent's speed (never sent).
  void Release(Ticket ticket, bool counts, SteadyTime now);

  // This machine is out of descriptors or memory: nothing is admitted until then.
  void PauseAll(SteadyTime until);
  // This machine is out of local ports towards this endpoint: it alone waits.
  void PauseEndpoint(const std::string& endpoint, SteadyTime until);

  // Returns when nothing is in flight, or at `deadline`.
  void WaitUntilEmpty(SteadyTime deadline) const;

  int in_flight() const;
  int slow_in_flight() const;
  int limit() const { return limits_.in_flight; }
  // Agents seen lately, admitted or refused.
  std::size_t agents() const;

 private:
  struct Agent {
    int in_flight = 0;
    int overdue = 0;  // in flight for longer than kSlowAfter
    int fast_in_a_row = 0;
    bool slow = false;
    SteadyTime last_seen;
    std::string endpoint;  // of its latest delivery: tells before a claim that the endpoint is full
  };
  struct Endpoint {
    int in_flight = 0;
    SteadyTime paused_until;
  };

 public:
  struct Slot {
    std::unordered_map<AgentId, Agent>::iterator agent;
    std::unordered_map<std::string, Endpoint>::iterator endpoint;
    SteadyTime since;
    std::int64_t bytes = 0;
    bool overdue = false;
  };

 private:
  int SlowLimit() const;
  bool HasRoom(const Endpoint& endpoint, SteadyTime now) const;
  void NoteOverdue(SteadyTime now);
  void SetSlow(Agent& agent, bool slow);
  void ForgetIdle(SteadyTime now);

  const AdmissionLimits limits_;
  mutable std::mutex mutex_;
  mutable std::condition_variable empty_;
  // Iterators into these stay valid while other elements come and go; an element with slots is never erased.
  std::unordered_map<AgentId, Agent> agents_;
  std::unordered_map<std::string, Endpoint> endpoints_;
  std::list<Slot> recent_;   // oldest first, in flight for less than kSlowAfter
  std::list<Slot> overdue_;  // the others
  int in_flight_ = 0;
  int slow_in_flight_ = 0;
  std::int64_t bytes_ = 0;
  SteadyTime paused_until_;
  SteadyTime forgot_at_;
};

}  // namespace postcall::dispatch
