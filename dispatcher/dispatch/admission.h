// Decides who may hold a slot, by the limits of one instance (CONTRACT §5) for all of its deliveries in
// flight. A claim asks before it claims a row, so that nothing waits in memory and no agent uses up what
// others need. A slot is a value that its delivery owns. Any thread: the claim threads admit, the network
// threads release; one mutex guards the counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

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
  // An agent becomes slow when one of its deliveries has been in flight for kSlowAfter. It stays slow until
  // kFastToRecover deliveries in a row were faster, or until it was not seen for kSlowMemory.
  static constexpr Steady::duration kSlowAfter = std::chrono::seconds(1);
  static constexpr Steady::duration kSlowMemory = std::chrono::seconds(60);
  static constexpr int kFastToRecover = 3;

  explicit Admission(AdmissionLimits limits) : limits_(limits) {}

  // The most that a claim may claim at this moment.
  struct Room {
    int slots = 0;                // 0: claim nothing
    std::int64_t body_bytes = 0;  // at least 1 while slots > 0
    int in_flight = 0;
    std::int64_t freed = 0;  // slots that deliveries have freed so far; for WakeAt
  };
  // What single agents and endpoints may have of it is for an Allotment to say.
  Room RoomNow(SteadyTime now);

  // A slot for one delivery; none when a limit is reached. Admission outlives its slots.
  std::optional<Slot> TryAdmit(const AgentId& agent, const std::string& endpoint, SteadyTime now);

  // Calls the waker once, as soon as Room::freed has reached this number. Each call replaces the number of
  // the call before.
  void WakeAt(std::int64_t freed);
  // When this returns, no call of the previous waker is running. A waker must not call Admission.
  void SetWaker(UniqueFunction<void()> waker);

  // To be called when this machine is out of descriptors or memory. Nothing is admitted before `until`.
  void PauseAll(SteadyTime until);
  // To be called when this machine is out of local ports for this endpoint. Only this endpoint waits.
  void PauseEndpoint(const std::string& endpoint, SteadyTime until);

  // Returns when nothing is in flight, or at `deadline`.
  void WaitUntilEmpty(SteadyTime deadline) const;

  int in_flight() const;
  int slow_in_flight() const;
  int limit() const { return limits_.in_flight; }
  // The number of agents seen lately, admitted or refused.
  std::size_t agents() const;

 private:
  struct Agent {
    int in_flight = 0;
    int overdue = 0;  // in flight for longer than kSlowAfter
    int fast_in_a_row = 0;
    bool slow = false;
    SteadyTime last_seen;
    std::string endpoint;  // of its latest delivery, or of the latest that found no slot
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
  friend class Allotment;
  using Ticket = std::list<Held>::iterator;

  bool TryHoldBody(Ticket ticket, std::int64_t bytes);
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
  // Iterators into these stay valid while other elements are added and erased; an element with slots is never
  // erased.
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

// The slot of one delivery. Its destructor releases it; the delivery was not sent then, and nothing is
// learned about its agent.
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

  // Reserves `bytes` of memory for the body; call it once. False when there is no room. A body larger than
  // the whole limit has room when no other body is held, because otherwise it would never be sent.
  bool TryHoldBody(std::int64_t bytes) { return admission_->TryHoldBody(ticket_, bytes); }

  // The delivery is over. How long it took shows how fast its agent is.
  void Over(SteadyTime now) && { std::exchange(admission_, nullptr)->Release(ticket_, now); }

 private:
  friend class Admission;
  Slot(Admission& admission, Admission::Ticket ticket) : admission_(&admission), ticket_(ticket) {}

  Admission* admission_ = nullptr;
  Admission::Ticket ticket_;
};

}  // namespace postcall::dispatch
