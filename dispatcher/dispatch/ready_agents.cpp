#include "dispatcher/dispatch/ready_agents.h"

#include <algorithm>
#include <unordered_map>

namespace postcall::dispatch {

void ReadyAgents::Add(const store::ReadyRow& row) {
  const auto [agent, is_new] = agents_.try_emplace(row.agent_id, row.at);
  if (!is_new) agent->second = std::min(agent->second, row.at);
}

std::vector<store::AgentShare> ReadyAgents::Shares(
    const AgentId& after, int max_rows, int per_agent,
    std::span<const std::pair<AgentId, int>> exceptions) const {
  std::unordered_map<AgentId, int> limits;
  for (const auto& [agent, limit] : exceptions) limits[agent] = limit;
  std::vector<store::AgentShare> shares;
  const auto add = [&](const auto& entry) {
    const auto limit = limits.find(entry.first);
    const int rows = limit == limits.end() ? per_agent : limit->second;
    if (rows > 0) shares.push_back({entry.first, entry.second, rows, limit == limits.end()});
    return static_cast<int>(shares.size()) < max_rows;
  };
  const auto start = agents_.upper_bound(after);
  for (auto agent = start; agent != agents_.end(); ++agent) {
    if (!add(*agent)) return shares;
  }
  for (auto agent = agents_.begin(); agent != start; ++agent) {
    if (!add(*agent)) return shares;
  }
  return shares;
}

void ReadyAgents::Note(std::span<const store::AgentProgress> progress) {
  for (const store::AgentProgress& each : progress) {
    if (each.next) {
      agents_[each.agent_id] = *each.next;
    } else {
      agents_.erase(each.agent_id);
    }
  }
}

void ReadyAgents::Remove(std::span<const store::AgentShare> shares) {
  for (const store::AgentShare& share : shares) agents_.erase(share.agent_id);
}

}  // namespace postcall::dispatch
