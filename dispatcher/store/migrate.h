// Brings a database to this binary's version (CONTRACT §5, `migrate`). Safe when several start at once, and
// behind PgBouncer in transaction mode. Any thread; blocks on connections of its own.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/result.h"
#include "dispatcher/store/database.h"

namespace postcall::store {

// The database's compatibility number is newer than this binary's.
class NeedsNewerBinary : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct MigrateOptions {
  // The platform has tables of its own and has defined the two views (CONTRACT §3). Decided by the first
  // migration of a database, and remembered there: later it need not be said again.
  bool own_tables = false;
};

struct Migrated {
  std::vector<std::string> applied;  // "0001_source_tables"; empty when there was nothing to do
  std::string schema;                // where the dispatcher's tables are
  bool own_tables = false;
  int days_ahead = 0;  // for which the log has partitions; -1: not even for today
  // Statements about the two group roles (0008) that this role may not do and another must. Looked for only
  // when something was applied.
  std::vector<std::string> left_to_others;
  // The statement that ends it when everybody may make objects in that schema, and so lead functions astray
  // that run as their owner.
  std::optional<std::string> closes_schema;
};

// Each migration is a transaction of its own, so what was applied before an error stays. A lock that is held
// by the platform's transactions is waited for half a second at a time, for a minute at most, so that the
// platform never queues behind it for longer.
// An error when the database cannot be brought to this version: a table or view does not fit, a right is
// missing. Throws NeedsNewerBinary, and Unavailable when it cannot be reached.
Result<Migrated> Migrate(const DatabaseOptions& database, const MigrateOptions& options = {});

enum class MigrationState {
  kApplied,
  kPending,
  kSkipped,  // the platform has tables of its own
  kUnknown,  // applied, and not of this binary, which is older than the database
};

struct MigrationStatus {
  int version = 0;
  std::string name;
  MigrationState state = MigrationState::kPending;
  std::string applied_at;  // as PostgreSQL prints it; empty unless applied
};

struct DatabaseStatus {
  std::string schema;     // of the dispatcher's tables; empty when it has none
  int compatibility = 0;  // what the database demands; 0 when it has none of our tables
  bool own_tables = false;
  std::vector<MigrationStatus> migrations;  // by version
};

// What `migrate --status` prints. Changes nothing. Throws Unavailable or Refused.
DatabaseStatus ReadDatabaseStatus(const DatabaseOptions& database);

}  // namespace postcall::store
