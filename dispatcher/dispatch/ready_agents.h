// The agents that have rows which are ready, and for each the position from which on they may be. Bounded by
// the number of agents, not of rows. It uses no clock and no database. One thread, the claim thread.
#pragma once

#include <map>
#include <span>
#include <utility>
#include <vector>

#include "dispatcher/store/claim.h"
#include "dispatcher/store/ready_rows.h"
#include "schema/ids.h"

namespace postcall::dispatch {

class ReadyAgents {
 public:
  // A ready row was seen.
  void Add(const store::ReadyRow& row);

  // What a claim of at most `max_rows` rows asks for: beginning with the agent after `after`, at most
  // `per_agent` rows of each, or its number in `exceptions`; 0 steps over the agent.
  std::vector<store::AgentShare> Shares(const AgentId& after, int max_rows, int per_agent,
                                        std::span<const std::pair<AgentId, int>> exceptions) const;

  // A claim is committed.
  void Note(std::span<const store::AgentProgress> progress);
  // A claim found no row of these.
  void Remove(std::span<const store::AgentShare> shares);

 private:
  std::map<AgentId, store::RowPosition> agents_;
};

}  // namespace postcall::dispatch
