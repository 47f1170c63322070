// The agents that have rows which are ready, and for each the position from which on they may be. Bounded by
// the number of agents, not of rows. It uses no clock and no database. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "dispatcher/store/claim.h"
#include "dispatcher/store/ready_rows.h"
#include "schema/ids.h"

namespace postcall::dispatch {

class ReadyAgents {
 public:
  // The most agents that one claim looks at. Those that have no slots are among them.
  static constexpr int kMostLooks = 4000;

  // A ready row was seen, or stayed in the outbox.
  void Add(const store::ReadyRow& row);

  // The agents that a claim of at most `max_rows` rows asks for, beginning with the agent after `after`:
  // those for which `has_slot` is true, with one row each.
  struct Asked {
    std::vector<store::AgentShare> agents;
    AgentId last;                 // that was looked at
    bool left_out = false;        // there are agents that it had no time or no rows for
    std::uint64_t additions = 0;  // that there were before
  };
  Asked SharesAfter(const AgentId& after, int max_rows,
                    const std::function<bool(const AgentId&)>& has_slot) const;

  // A claim has picked its rows. `additions` are Asked's: an agent that was added since stays as it is,
  // because the claim may not have seen that row.
  void Note(std::span<const store::AgentProgress> progress, std::uint64_t additions);
  // A claim found no row of these; likewise.
  void Remove(std::span<const store::AgentShare> shares, std::uint64_t additions);

 private:
  struct Agent {
    store::RowPosition from;
    std::uint64_t added = 0;  // when a row was last added, counted in additions
  };

  std::map<AgentId, Agent> agents_;
  std::uint64_t additions_ = 0;
};

}  // namespace postcall::dispatch
