// Who may hold a slot: the limits of one instance (CONTRACT §5) over all of its deliveries in flight. The
// claim asks before it takes a row, so that nothing waits in memory and no tenant's trouble is another's. A
// slot is a value that its delivery owns. Any thread: the claim threads admit, the network threads release;
// one mutex guards the counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/mutex.h"
#include "common/unique_function.h"
#include "schema/ids.h"

namespace postcall::dispatch {

struct AdmissionLimits {
  int in_flight = 2000;
  int per_agent = 50;
  int per_endpoint = 200;
  double slow_share = 0.25;  // part of `in_flight` that slow agents may hold together; at least one slot
  std::int64_t body_bytes = 512LL << 20;
};

class Slot;

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
    std::int64_t freed = 0;                           // slots that deliveries have freed so far; for WakeAt
  };
  // An agent that is stepped over because its endpoint is full counts as seen.
  Room RoomFor(int per_agent, SteadyTime now);

  // A slot for one delivery; none when a limit is reached. Admission outlives its slots.
  std::optional<Slot> TryAdmit(const AgentId& agent, const std::string& endpoint, SteadyTime now);

  // Calls the waker once, when deliveries have freed so many slots (Room::freed counts them), at once when
  // they have. None: does not call it. Each call replaces the one before.
  void WakeAt(std::optional<std::int64_t> freed);
  // Calls to the waker before are over when this returns. It must not call Admission.
  void SetWaker(UniqueFunction<void()> waker);

  // This machine is out of descriptors or memory, or the dispatcher stops: nothing is admitted until then,
  // and no body is held.
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

  struct Held {
    std::unordered_map<AgentId, Agent>::iterator agent;
    std::unordered_map<std::string, Endpoint>::iterator endpoint;
    SteadyTime since;
    std::int64_t bytes = 0;
    bool overdue = false;
  };
  friend class Slot;
  using Ticket = std::list<Held>::iterator;

  bool TryHoldBody(Ticket ticket, std::int64_t bytes, SteadyTime now);
  void Release(Ticket ticket, std::optional<SteadyTime> over_at);
  int SlowLimit() const;
  bool HasRoom(const Endpoint& endpoint, SteadyTime now) const;
  void NoteOverdue(SteadyTime now) REQUIRES(mutex_);
  void SetSlow(Agent& agent, bool slow) REQUIRES(mutex_);
  void ForgetIdle(SteadyTime now) REQUIRES(mutex_);
  void WakeIfFreed() REQUIRES(mutex_);

  const AdmissionLimits limits_;
  mutable Mutex mutex_;
  mutable CondVar empty_;
  // Iterators into these stay valid while other elements come and go; an element with slots is never erased.
  std::unordered_map<AgentId, Agent> agents_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, Endpoint> endpoints_ GUARDED_BY(mutex_);
  std::list<Held> recent_ GUARDED_BY(mutex_);   // oldest first, in flight for less than kSlowAfter
  std::list<Held> overdue_ GUARDED_BY(mutex_);  // the others
  int in_flight_ GUARDED_BY(mutex_) = 0;
  int slow_in_flight_ GUARDED_BY(mutex_) = 0;
  std::int64_t bytes_ GUARDED_BY(mutex_) = 0;
  SteadyTime paused_until_ GUARDED_BY(mutex_);
  SteadyTime forgot_at_ GUARDED_BY(mutex_);
  std::int64_t freed_ GUARDED_BY(mutex_) = 0;
  std::optional<std::int64_t> wake_at_ GUARDED_BY(mutex_);
  UniqueFunction<void()> waker_ GUARDED_BY(mutex_);
};

// One delivery's slot. Its end releases it: the delivery was not sent, and nothing is learned about its
// agent.
class Slot {
 public:
  Slot() = default;  // none, as after a move
  Slot(Slot&& other) noexcept
      : admission_(std::exchange(other.admission_, nullptr)), ticket_(other.ticket_) {}
  Slot& operator=(Slot&& other) noexcept {
    std::swap(admission_, other.admission_);
    std::swap(ticket_, other.ticket_);
    return *this;
  }
  ~Slot() {
    if (admission_ != nullptr) admission_->Release(ticket_, std::nullopt);
  }

  // Takes `bytes` of memory for the body, or says no; once. A body larger than the whole limit is let in when
  // no other is held, so that it is sent at all. Admission may have been paused since the slot was given.
  bool TryHoldBody(std::int64_t bytes, SteadyTime now) {
    return admission_->TryHoldBody(ticket_, bytes, now);
  }

  // The delivery is over, and how long it took says how fast its agent is.
  void Over(SteadyTime now) && { std::exchange(admission_, nullptr)->Release(ticket_, now); }

 private:
  friend class Admission;
  Slot(Admission& admission, Admission::Ticket ticket) : admission_(&admission), ticket_(ticket) {}

  Admission* admission_ = nullptr;
  Admission::Ticket ticket_;
};

}  // namespace postcall::dispatch
