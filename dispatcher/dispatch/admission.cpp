#include "dispatcher/dispatch/admission.h"

#include <algorithm>

namespace postcall::dispatch {

Admission::Room Admission::RoomFor(int per_agent, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  NoteOverdue(now);
  ForgetIdle(now);
  Room room;
  if (now < paused_until_) return room;
  room.slots = std::max(0, limits_.in_flight - in_flight_);
  room.body_bytes = limits_.body_bytes - bytes_;
  if (room.body_bytes <= 0) room.slots = 0;
  if (room.slots == 0) return room;

  const int slow_room = std::max(0, SlowLimit() - slow_in_flight_);
  for (auto& [id, agent] : agents_) {
    int allowed = limits_.per_agent - agent.in_flight;
    if (agent.slow) allowed = std::min(allowed, slow_room);
    const auto endpoint = endpoints_.find(agent.endpoint);
    if (endpoint != endpoints_.end()) {
      if (HasRoom(endpoint->second, now)) {
        allowed = std::min(allowed, limits_.per_endpoint - endpoint->second.in_flight);
      } else {
        allowed = 0;
        agent.last_seen = now;  // or it would be forgotten while it waits, and claimed in vain again
      }
    }
    if (allowed < per_agent) room.exceptions.emplace_back(id, std::max(0, allowed));
  }
  return room;
}

bool Admission::TryAdmit(const AgentId& agent_id, const std::string& endpoint_key, SteadyTime now,
                         Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  if (now < paused_until_ || in_flight_ >= limits_.in_flight) return false;

  const auto agent = agents_.try_emplace(agent_id).first;
  const auto endpoint = endpoints_.try_emplace(endpoint_key).first;
  // Noted even when refused: the next claim steps over agents whose endpoint is full.
  agent->second.endpoint = endpoint_key;
  agent->second.last_seen = now;
  if (agent->second.in_flight >= limits_.per_agent) return false;
  if (agent->second.slow && slow_in_flight_ >= SlowLimit()) return false;
  if (!HasRoom(endpoint->second, now)) return false;

  ++in_flight_;
  ++agent->second.in_flight;
  if (agent->second.slow) ++slow_in_flight_;
  ++endpoint->second.in_flight;
  ticket = recent_.insert(recent_.end(), Slot{agent, endpoint, now});
  return true;
}

bool Admission::TryHoldBody(Ticket ticket, std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes_ > 0 && bytes_ + bytes > limits_.body_bytes) return false;
  bytes_ += bytes;
  ticket->bytes = bytes;
  return true;
}

void Admission::Release(Ticket ticket, bool counts, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  Agent& agent = ticket->agent->second;
  const bool overdue = ticket->overdue;
  --in_flight_;
  bytes_ -= ticket->bytes;
  --agent.in_flight;
  if (agent.slow) --slow_in_flight_;
  agent.last_seen = now;
  --ticket->endpoint->second.in_flight;

  const bool fast = now - ticket->since < kSlowAfter;
  if (overdue) --agent.overdue;
  if (counts) {
    if (fast) {
      if (agent.slow && agent.overdue == 0 && ++agent.fast_in_a_row >= kFastToRecover) SetSlow(agent, false);
    } else {
      SetSlow(agent, true);
      agent.fast_in_a_row = 0;
    }
  }
  (overdue ? overdue_ : recent_).erase(ticket);
  if (in_flight_ == 0) empty_.notify_all();
}

void Admission::PauseAll(SteadyTime until) {
  const std::lock_guard lock(mutex_);
  paused_until_ = std::max(paused_until_, until);
}

void Admission::PauseEndpoint(const std::string& endpoint, SteadyTime until) {
  const std::lock_guard lock(mutex_);
  SteadyTime& paused_until = endpoints_[endpoint].paused_until;
  paused_until = std::max(paused_until, until);
}

void Admission::WaitUntilEmpty(SteadyTime deadline) const {
  std::unique_lock lock(mutex_);
  empty_.wait_until(lock, deadline, [this] { return in_flight_ == 0; });
}

int Admission::in_flight() const {
  const std::lock_guard lock(mutex_);
  return in_flight_;
}

std::size_t Admission::agents() const {
  const std::lock_guard lock(mutex_);
  return agents_.size();
}

int Admission::slow_in_flight() const {
  const std::lock_guard lock(mutex_);
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
  std::erase_if(agents_, [&](const auto& entry) {
    return entry.second.in_flight == 0 && now - entry.second.last_seen >= kSlowMemory;
  });
  std::erase_if(endpoints_, [&](const auto& entry) {
    return entry.second.in_flight == 0 && now >= entry.second.paused_until;
  });
}

}  // namespace postcall::dispatch
