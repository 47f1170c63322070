// What payloads are made of: the calls and settings of a claim's rows, as the two source views give them
// (CONTRACT §3). The room's own; on the thread that owns the session.
#pragma once

#include <cstdint>
#include <optional>
#include <pqxx/result>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/claim.h"
#include "schema/call.h"

namespace postcall::store {

// What is used of the settings of the rows' agents. The rest stays in the database: a prompt in them
// may be larger than all calls of a claim.
class AgentSettingsText {
 public:
  AgentSettingsText(postgres::Transaction& transaction, const std::vector<PickedRow>& rows);

  // None: the agent was removed. Valid as long as this is.
  const SettingsAsRead* of(std::string_view agent_id) const;

 private:
  pqxx::result rows_;  // what the views below look into
  std::unordered_map<std::string_view, SettingsAsRead> settings_;
};

// The calls of the rows, in their order.
class CallsAsRead {
 public:
  // Stops after the call that brings the size to `max_bytes`, or the time to 200 ms: the analyses of a
  // whole claim may be larger than memory, or take minutes. The first is always read. In a statement of its
  // own, after the rows are locked: an analysis that made its call due is seen then.
  CallsAsRead(postgres::Transaction& transaction, std::span<const PickedRow* const> rows,
              std::int64_t max_bytes);

  // Those of the first rows; none: the call was removed. Valid as long as this is.
  std::span<const std::optional<Call>> all() const { return calls_; }

 private:
  pqxx::result rows_;  // what the views in calls_ look into
  std::vector<std::optional<Call>> calls_;
};

}  // namespace postcall::store
