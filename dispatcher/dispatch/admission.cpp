#include "dispatcher/dispatch/admission.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace postcall::dispatch {

Admission::Room Admission::RoomNow(SteadyTime now) {
  const MutexLock lock(mutex_);
  NoteOverdue(now);
  ForgetIdle(now);
  Room room{.in_flight = in_flight_, .freed = freed_};
  if (now < paused_until_) return room;
  room.slots = std::max(0, limits_.in_flight - in_flight_);
  room.body_bytes = limits_.body_bytes - bytes_;
  if (room.body_bytes <= 0) room.slots = 0;
  return room;
}

std::optional<Slot> Admission::TryAdmit(const AgentId& agent_id, const std::string& endpoint_key,
                                        SteadyTime now) {
  const MutexLock lock(mutex_);
  if (now < paused_until_ || in_flight_ >= limits_.in_flight) return std::nullopt;

  const auto agent = agents_.try_emplace(agent_id).first;
  const auto endpoint = endpoints_.try_emplace(endpoint_key).first;
  // This is noted even when no slot is free, because the next claim steps over agents whose endpoint is full.
  agent->second.endpoint = endpoint_key;
  agent->second.last_seen = now;
  if (agent->second.in_flight >= limits_.per_agent) return std::nullopt;
  if (agent->second.slow && slow_in_flight_ >= SlowLimit()) return std::nullopt;
  if (!HasRoom(endpoint->second, now)) return std::nullopt;

  ++in_flight_;
  ++agent->second.in_flight;
  if (agent->second.slow) ++slow_in_flight_;
  ++endpoint->second.in_flight;
  return Slot(*this, recent_.insert(recent_.end(), Held{agent, endpoint, now}));
}

bool Admission::TryHoldBody(Ticket ticket, std::int64_t bytes) {
  const MutexLock lock(mutex_);
  if (bytes_ > 0 && bytes_ + bytes > limits_.body_bytes) return false;
  bytes_ += bytes;
  ticket->bytes = bytes;
  return true;
}

void Admission::Release(Ticket ticket, std::optional<SteadyTime> over_at) {
  const MutexLock lock(mutex_);
  Agent& agent = ticket->agent->second;
  const bool overdue = ticket->overdue;
  --in_flight_;
  bytes_ -= ticket->bytes;
  --agent.in_flight;
  if (agent.slow) --slow_in_flight_;
  --ticket->endpoint->second.in_flight;

  if (overdue) --agent.overdue;
  if (over_at) {
    agent.last_seen = *over_at;
    if (*over_at - ticket->since < kSlowAfter) {
      if (agent.slow && agent.overdue == 0 && ++agent.fast_in_a_row >= kFastToRecover) SetSlow(agent, false);
    } else {
      SetSlow(agent, true);
      agent.fast_in_a_row = 0;
    }
  }
  // A slot without a body is released by the claim that tried it. That claim need not be woken for its own
  // slot.
  const bool was_a_delivery = ticket->bytes > 0;
  (overdue ? overdue_ : recent_).erase(ticket);
  if (in_flight_ == 0) empty_.NotifyAll();
  if (was_a_delivery) {
    ++freed_;
    WakeIfFreed();
  }
}

void Admission::WakeAt(std::int64_t freed) {
  const MutexLock lock(mutex_);
  wake_at_ = freed;
  WakeIfFreed();
}

void Admission::SetWaker(UniqueFunction<void()> waker) {
  const MutexLock lock(mutex_);
  waker_ = std::move(waker);
}

void Admission::WakeIfFreed() {
  if (!wake_at_ || freed_ < *wake_at_) return;
  wake_at_.reset();
  if (waker_) waker_();
}

void Admission::PauseAll(SteadyTime until) {
  const MutexLock lock(mutex_);
  paused_until_ = std::max(paused_until_, until);
}

void Admission::PauseEndpoint(const std::string& endpoint, SteadyTime until) {
  const MutexLock lock(mutex_);
  SteadyTime& paused_until = endpoints_[endpoint].paused_until;
  paused_until = std::max(paused_until, until);
}

void Admission::WaitUntilEmpty(SteadyTime deadline) const {
  MutexLock lock(mutex_);
  while (in_flight_ > 0 && Steady::now() < deadline) empty_.WaitUntil(lock, deadline);
}

int Admission::in_flight() const {
  const MutexLock lock(mutex_);
  return in_flight_;
}

std::size_t Admission::agents() const {
  const MutexLock lock(mutex_);
  return agents_.size();
}

int Admission::slow_in_flight() const {
  const MutexLock lock(mutex_);
  return slow_in_flight_;
}

int Admission::SlowLimit() const {
  return std::max(1, static_cast<int>(static_cast<double>(limits_.in_flight) * limits_.slow_share));
}

bool Admission::HasRoom(const Endpoint& endpoint, SteadyTime now) const {
  return endpoint.in_flight < limits_.per_endpoint && now >= endpoint.paused_until;
}

// A hanging endpoint is known after kSlowAfter, not only when its first delivery is over.
void Admission::NoteOverdue(SteadyTime now) {
  while (!recent_.empty() && now - recent_.front().since >= kSlowAfter) {
    const auto slot = recent_.begin();
    slot->overdue = true;
    Agent& agent = slot->agent->second;
    ++agent.overdue;
    agent.fast_in_a_row = 0;
    agent.last_seen = now;
    SetSlow(agent, true);
    overdue_.splice(overdue_.end(), recent_, slot);
  }
}

void Admission::SetSlow(Agent& agent, bool slow) {
  if (agent.slow == slow) return;
  agent.slow = slow;
  slow_in_flight_ += slow ? agent.in_flight : -agent.in_flight;
}

void Admission::ForgetIdle(SteadyTime now) {
  if (now - forgot_at_ < std::chrono::seconds(1)) return;
  forgot_at_ = now;
  // An agent counts as seen as long as it holds a slot, however the slot is released.
  for (auto agent = agents_.begin(); agent != agents_.end();) {
    if (agent->second.in_flight > 0) agent->second.last_seen = now;
    agent = now - agent->second.last_seen >= kSlowMemory ? agents_.erase(agent) : std::next(agent);
  }
  std::erase_if(endpoints_, [&](const auto& entry) {
    return entry.second.in_flight == 0 && now >= entry.second.paused_until;
  });
}

}  // namespace postcall::dispatch
