#include "dispatcher/dispatch/allotment.h"

#include <algorithm>

namespace postcall::dispatch {

Allotment::Allotment(Admission& admission, SteadyTime now) : admission_(admission), now_(now) {
  const MutexLock lock(admission_.mutex_);
  all_ = {.left = admission_.limits_.in_flight - admission_.in_flight_, .in_flight = admission_.in_flight_};
  slow_ = {.left = admission_.SlowLimit() - admission_.slow_in_flight_,
           .in_flight = admission_.slow_in_flight_};
}

int Allotment::For(const AgentId& id, int wanted) {
  const MutexLock lock(admission_.mutex_);
  last_waits_for_others_ = false;
  const auto found = admission_.agents_.find(id);
  wanted = std::min(wanted, admission_.limits_.per_agent);
  if (found == admission_.agents_.end()) {
    rows_of_strangers_ += wanted;
    all_.rows += wanted;
    return wanted;
  }
  Admission::Agent& agent = found->second;
  const int own = std::clamp(admission_.limits_.per_agent - agent.in_flight, 0, wanted);
  const bool is_few = own < wanted && own < Enough(agent.in_flight);
  if (own < wanted) some_wait_ = true;
  Gate& endpoint = GateOf(agent.endpoint);
  int rows = std::clamp(endpoint.left, 0, own);
  if (rows < own) endpoint.used_up = some_wait_ = true;
  // Otherwise it would be forgotten, and claims would pick its rows again.
  if (endpoint.left <= 0) agent.last_seen = now_;
  if (agent.slow) {
    if (slow_.left < rows) slow_.used_up = some_wait_ = true;
    rows = std::clamp(slow_.left, 0, rows);
    slow_.left -= rows;
  }
  last_waits_for_others_ = rows < own;
  endpoint.left -= rows;
  // What slow agents have is judged by their common limit.
  if (!is_few) (agent.slow ? slow_ : endpoint).rows += rows;
  all_.rows += rows;
  return rows;
}

bool Allotment::IsWorthwhile() const {
  if (all_.rows > all_.left) return all_.left >= Enough(all_.in_flight);
  const auto is_worthwhile = [](const Gate& gate) {
    return gate.rows > 0 && (!gate.used_up || gate.rows >= Enough(gate.in_flight));
  };
  return rows_of_strangers_ > 0 || is_worthwhile(slow_) ||
         std::ranges::any_of(endpoints_, [&](const auto& entry) { return is_worthwhile(entry.second); });
}

int Allotment::Enough(int in_flight) { return std::clamp(in_flight / 4, 1, kEnough); }

Allotment::Gate& Allotment::GateOf(const std::string& name) {
  const auto [gate, is_new] = endpoints_.try_emplace(name);
  if (!is_new) return gate->second;
  gate->second.left = admission_.limits_.per_endpoint;
  const auto endpoint = admission_.endpoints_.find(name);
  if (endpoint == admission_.endpoints_.end()) return gate->second;
  gate->second.in_flight = endpoint->second.in_flight;
  gate->second.left = admission_.HasRoom(endpoint->second, now_)
                          ? admission_.limits_.per_endpoint - endpoint->second.in_flight
                          : 0;
  return gate->second;
}

}  // namespace postcall::dispatch
