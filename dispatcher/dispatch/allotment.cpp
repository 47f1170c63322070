#include "dispatcher/dispatch/allotment.h"

#include <algorithm>

namespace postcall::dispatch {

Allotment::Allotment(Admission& admission, SteadyTime now) : admission_(admission), now_(now) {
  const MutexLock lock(admission_.mutex_);
  all_ = {.left = admission_.limits_.in_flight - admission_.in_flight_, .in_flight = admission_.in_flight_};
  slow_ = {.left = admission_.SlowLimit() - admission_.slow_in_flight_,
           .in_flight = admission_.slow_in_flight_};
}

int Allotment::One(const AgentId& id, int wanted) {
  const MutexLock lock(admission_.mutex_);
  last_waits_for_others_ = false;
  const auto found = admission_.agents_.find(id);
  if (found == admission_.agents_.end()) {
    has_strangers_ = true;
    claimants_.push_back({.wanted = std::min(wanted, admission_.limits_.per_agent) - 1});
    return 1;
  }
  Admission::Agent& agent = found->second;
  const int own = std::clamp(admission_.limits_.per_agent - agent.in_flight, 0, wanted);
  Gate& endpoint = GateOf(agent.endpoint);
  // Otherwise it would be forgotten, and claims would pick its rows again.
  if (endpoint.left <= 0) agent.last_seen = now_;
  const bool is_few = own < wanted && own < Enough(agent.in_flight);
  if (is_few) some_wait_ = true;
  if (own == 0) return 0;
  if (endpoint.left <= 0) endpoint.used_up = last_waits_for_others_ = true;
  if (agent.slow && slow_.left <= 0) slow_.used_up = last_waits_for_others_ = true;
  if (last_waits_for_others_) {
    some_wait_ = true;
    return 0;
  }
  claimants_.push_back({.endpoint = &endpoint, .is_slow = agent.slow, .is_few = is_few, .wanted = own - 1});
  Give(claimants_.back(), 1);
  return 1;
}

int Allotment::More(std::size_t number) {
  const Claimant& claimant = claimants_[number];
  int rows = claimant.wanted;
  if (claimant.endpoint != nullptr) rows = std::clamp(claimant.endpoint->left, 0, rows);
  if (claimant.is_slow) rows = std::clamp(slow_.left, 0, rows);
  Give(claimant, rows);
  return rows;
}

void Allotment::Give(const Claimant& claimant, int rows) {
  if (claimant.endpoint == nullptr) return;
  claimant.endpoint->left -= rows;
  if (claimant.is_slow) slow_.left -= rows;
  // What slow agents have is judged by their common limit.
  if (!claimant.is_few) (claimant.is_slow ? slow_ : *claimant.endpoint).rows += rows;
}

bool Allotment::IsWorthwhile() const {
  if (rows() > all_.left) return all_.left >= Enough(all_.in_flight);
  const auto is_worthwhile = [](const Gate& gate) {
    return gate.rows > 0 && (!gate.used_up || gate.rows >= Enough(gate.in_flight));
  };
  return has_strangers_ || is_worthwhile(slow_) ||
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
