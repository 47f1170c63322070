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

#include "dispatcher/store/transaction.h"
#include "schema/call.h"

namespace postcall::store {

class Sources {
 public:
  struct Wanted {
    std::string_view call_id;
    std::string_view agent_id;
  };

  // Reads the calls in the order of `wanted`, and stops after the one that brings their size to `max_bytes`:
  // the analyses of a whole claim may be larger than memory. The first is always read. In a statement of its
  // own, after the rows are locked: an analysis that made its call due is seen then.
  Sources(Transaction& transaction, const std::vector<Wanted>& wanted, std::int64_t max_bytes);

  // So many of the first of `wanted` were read.
  std::size_t size() const { return calls_.size(); }

  // Of the row at `position` < size(); none when it is gone. Valid as long as this is.
  const Call* call(std::size_t position) const { return calls_[position] ? &*calls_[position] : nullptr; }
  const std::string_view* settings(std::string_view agent_id) const;

 private:
  void ReadCalls(Transaction& transaction, const std::vector<Wanted>& wanted, std::int64_t max_bytes);
  void ReadSettings(Transaction& transaction, const std::vector<Wanted>& wanted);

  pqxx::result call_rows_;  // what the views below look into
  pqxx::result agent_rows_;
  std::vector<std::optional<Call>> calls_;
  std::unordered_map<std::string_view, std::string_view> settings_;
};

}  // namespace postcall::store
