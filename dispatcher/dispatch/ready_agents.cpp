#include "dispatcher/dispatch/ready_agents.h"

#include <algorithm>

namespace postcall::dispatch {

void ReadyAgents::Add(const store::ReadyRow& row) {
  const auto [agent, is_new] = agents_.try_emplace(row.agent_id, row.at);
  if (!is_new) agent->second = std::min(agent->second, row.at);
}

ReadyAgents::Asked ReadyAgents::SharesAfter(const AgentId& after, int max_rows, int per_agent,
                                            const std::function<int(const AgentId&)>& rows_of) const {
  Asked asked;
  auto agent = agents_.upper_bound(after);
  for (std::size_t looks = 0; looks < agents_.size(); ++looks, ++agent) {
    if (looks == kMostLooks || static_cast<int>(asked.agents.size()) == max_rows) {
      asked.left_out = true;
      return asked;
    }
    if (agent == agents_.end()) agent = agents_.begin();
    asked.last = agent->first;
    const int rows = rows_of(agent->first);
    if (rows > 0) asked.agents.push_back({agent->first, agent->second, rows, rows == per_agent});
  }
  return asked;
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
