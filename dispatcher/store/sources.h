// The calls and settings that payloads are made of, as the two source views give them for a claim's rows
// (CONTRACT §3). Used only in this room; on the thread that owns the session.
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

// The settings of the rows' agents, only those that are used. The rest stays in the database: a prompt may be
// larger than all calls of a claim.
class AgentSettingsText {
 public:
  AgentSettingsText(postgres::Transaction& transaction, const std::vector<PickedRow>& rows);

  // Null when the agent was removed. Valid as long as this object exists.
  const SettingsAsRead* of(std::string_view agent_id) const;

 private:
  pqxx::result rows_;  // the views below point into it
  std::unordered_map<std::string_view, SettingsAsRead> settings_;
};

// The calls of the rows, in their order.
class CallsAsRead {
 public:
  // Stops after the call that brings the size to `max_bytes`, or the time to 200 ms: the analyses of a
  // whole claim may be larger than memory, or take minutes. The first is always read. This is a statement of
  // its own, after the rows are locked, so that it sees an analysis that made its call due. When it has
  // read all, the transaction has its own limits again.
  CallsAsRead(postgres::Transaction& transaction, std::span<const PickedRow* const> rows,
              std::int64_t max_bytes);

  // The calls of the first rows; no value when the call was removed. Valid as long as this object exists.
  std::span<const std::optional<Call>> all() const { return calls_; }

 private:
  pqxx::result rows_;  // the views in calls_ point into it
  std::vector<std::optional<Call>> calls_;
};

}  // namespace postcall::store
