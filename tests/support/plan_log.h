// The plans that a server really used for the statements of one database, with all effects of settings,
// parameters and cached plans. auto_explain writes them to the server's log. One thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/support/private_postgres.h"

namespace postcall::test {

struct UsedPlan {
  std::string statement;  // its text
  // The nodes that decide how long it takes: "Index Scan webhook_outbox_ready", "Seq Scan calls", "Hash
  // Join", "Sort". A partition has the name of its table here, and its indexes have no day in the name.
  std::set<std::string> nodes;
};

class PlanLog {
 public:
  // False when this server has no auto_explain.
  static bool IsThere(const PrivatePostgres& postgres);

  // From now on, new connections to the database log their plans, also those of statements in functions.
  PlanLog(const PrivatePostgres& postgres, const std::string& database);

  // The plans since the last call, or since the beginning.
  std::vector<UsedPlan> Read();

 private:
  const PrivatePostgres& postgres_;
  std::size_t read_ = 0;
};

}  // namespace postcall::test
