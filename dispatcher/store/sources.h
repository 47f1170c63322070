// What payloads are made of: the calls and settings of a claim's rows, as the two source views give them
// (CONTRACT §3). The room's own; on the thread that owns the session.
#pragma once

#include <cstdint>
#include <optional>
#include <pqxx/result>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dispatcher/store/claim.h"
#include "dispatcher/store/transaction.h"
#include "schema/call.h"

namespace postcall::store {

// What is used of the settings of the candidates' agents. The rest stays in the database: a prompt in them
// may be larger than all calls of a claim.
class AgentSettingsText {
 public:
  AgentSettingsText(Transaction& transaction, const std::vector<Candidate>& candidates);

  // None: the agent is gone. Valid as long as this is.
  const SettingsAsRead* of(std::string_view agent_id) const;

 private:
  pqxx::result rows_;  // what the views below look into
  std::unordered_map<std::string_view, SettingsAsRead> settings_;
};

// The calls of the candidates, in their order.
class Calls {
 public:
  // Stops after the call that brings their size to `max_bytes`, or the time to 750 ms: the analyses of a
  // whole claim may be larger than memory, or take minutes. The first is always read. In a statement of its
  // own, after the rows are locked: an analysis that made its call due is seen then.
  Calls(Transaction& transaction, const std::vector<Candidate>& candidates, std::int64_t max_bytes);

  // So many of the first candidates' were read.
  std::size_t size() const { return calls_.size(); }
  // Of the candidate at `position` < size(); none: the call is gone. Valid as long as this is.
  const Call* at(std::size_t position) const { return calls_[position] ? &*calls_[position] : nullptr; }

 private:
  pqxx::result rows_;  // what the views in calls_ look into
  std::vector<std::optional<Call>> calls_;
};

}  // namespace postcall::store
