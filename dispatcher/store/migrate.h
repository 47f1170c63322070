// Brings a database to this binary's version (CONTRACT §5, `migrate`). Safe when several start at once, and
// behind PgBouncer in transaction mode. Any thread; blocks on connections of its own.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/result.h"
#include "dispatcher/postgres/database.h"

namespace postcall::store {

// The database's compatibility number is newer than this binary's.
class NeedsNewerBinary : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct MigrateOptions {
  // The platform has tables of its own and has defined the two views (CONTRACT §3). The first migration of a
  // database decides this and stores it there; later ones use what is stored.
  bool own_tables = false;
  // How often a transaction is tried while others hold a lock that it needs. Each attempt takes a second: it
  // waits half of it for the lock, and then lets the transactions run that queued behind it.
  int most_attempts = 60;
};

struct Migrated {
  // "0003_outbox", "functions/webhook_enqueue"; empty when there was nothing to do.
  std::vector<std::string> applied;
  std::string schema;  // where the dispatcher's tables are
  bool own_tables = false;
  int days_ahead = 0;                        // that the log has partitions for; -1: not even for today
  std::string server;                        // "PostgreSQL 15.18"
  std::optional<std::string> server_remark;  // one sentence when the server is older than what is supported
  // Statements about the two group roles (webhook_grant_roles) that this role may not run and another must.
  // They are looked for only when functions, views or triggers were applied.
  std::vector<std::string> left_to_others;
  // When every role may create objects in that schema, and so change what functions call that run as their
  // owner: the statement that ends this.
  std::optional<std::string> closes_schema;
};

// Each migration is a transaction of its own, except that the first two are one: what was applied before an
// error stays, and the platform's tables are locked for one migration and no longer. The functions, views and
// triggers and their grants are one transaction, because they call each other: other sessions see all of them
// as they were, or all as they are now. Each transaction waits for a lock of the platform's for half a second
// at a time, so that the platform never queues behind it for longer, and for about a minute in all. An error
// when the database cannot be brought to this version: a table or view does not fit, a right is missing.
// Throws NeedsNewerBinary, and Unavailable when it cannot be reached.
Result<Migrated> Migrate(const postgres::DatabaseOptions& database, const MigrateOptions& options = {});

enum class MigrationState {
  kApplied,
  kPending,
  kSkipped,  // the platform has tables of its own
  kUnknown,  // applied by a newer binary
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
  std::string version;    // of the newest binary that migrated it
  bool own_tables = false;
  std::vector<MigrationStatus> migrations;       // by version
  std::vector<std::string> pending_definitions;  // "functions/webhook_enqueue"
};

// What `migrate --status` prints. Changes nothing. Throws Unavailable or Refused.
DatabaseStatus ReadDatabaseStatus(const postgres::DatabaseOptions& database);

}  // namespace postcall::store
