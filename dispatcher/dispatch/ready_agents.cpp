#include "dispatcher/dispatch/ready_agents.h"

#include <algorithm>

namespace postcall::dispatch {

void ReadyAgents::Add(const store::ReadyRow& row) {
  const auto [agent, is_new] = agents_.try_emplace(row.agent_id, Agent{row.at});
  agent->second.added = ++additions_;
  if (!is_new) agent->second.from = std::min(agent->second.from, row.at);
}

ReadyAgents::Asked ReadyAgents::SharesAfter(const AgentId& after, int max_rows,
                                            const std::function<bool(const AgentId&)>& has_slot) const {
  Asked asked{.agents = {}, .last = {}, .additions = additions_};
  auto agent = agents_.upper_bound(after);
  for (std::size_t looks = 0; looks < agents_.size(); ++looks, ++agent) {
    if (looks == kMostLooks || static_cast<int>(asked.agents.size()) == max_rows) {
      asked.left_out = true;
      return asked;
    }
    if (agent == agents_.end()) agent = agents_.begin();
    asked.last = agent->first;
    if (has_slot(agent->first)) asked.agents.push_back({agent->first, agent->second.from, 1, true});
  }
  return asked;
}

void ReadyAgents::Note(std::span<const store::AgentProgress> progress, std::uint64_t additions) {
  for (const store::AgentProgress& each : progress) {
    const auto agent = agents_.find(each.agent_id);
    if (agent == agents_.end() || agent->second.added > additions) continue;
    if (each.next) {
      agent->second.from = *each.next;
    } else {
      agents_.erase(agent);
    }
  }
}

void ReadyAgents::Remove(std::span<const store::AgentShare> shares, std::uint64_t additions) {
  for (const store::AgentShare& share : shares) {
    const auto agent = agents_.find(share.agent_id);
    if (agent != agents_.end() && agent->second.added <= additions) agents_.erase(agent);
  }
}

}  // namespace postcall::dispatch
