// `migrate`: brings the database to this version, or with --status prints which version it has (CONTRACT §5).
// Main thread.
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <string>
#include <string_view>

#include "common/log.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/store/migrate.h"

namespace postcall::cli {
namespace {

std::string_view ToWord(store::MigrationState state) {
  switch (state) {
    case store::MigrationState::kApplied:
      return "applied";
    case store::MigrationState::kPending:
      return "pending";
    case store::MigrationState::kSkipped:
      return "skipped";  // the platform has tables of its own
    case store::MigrationState::kUnknown:
      return "newer than this binary";
  }
  return "";
}

// The exit code says failed while a migration is pending, so that a script can wait for it.
ExitCode PrintStatus(const postgres::DatabaseOptions& database) {
  const store::DatabaseStatus status = store::ReadDatabaseStatus(database);
  std::cout << "postcall-dispatcher " POSTCALL_VERSION "\n";
  if (status.schema.empty()) {
    std::cout << "the database has never been migrated\n";
  } else {
    std::cout << "schema: " << status.schema << "\n"
              << "source tables: " << (status.own_tables ? "the platform's own" : "the dispatcher's") << "\n"
              << "version: " << status.version << "\n"
              << "compatibility: " << status.compatibility << "\n";
  }
  for (const store::MigrationStatus& migration : status.migrations) {
    std::cout << std::setw(4) << std::setfill('0') << migration.version << "_" << migration.name << ": "
              << ToWord(migration.state) << (migration.applied_at.empty() ? "" : " ") << migration.applied_at
              << "\n";
  }
  for (const std::string& file : status.pending_definitions) std::cout << file << ": pending\n";
  std::cout.flush();
  const bool is_pending = !status.pending_definitions.empty() ||
                          std::ranges::any_of(status.migrations, [](const store::MigrationStatus& migration) {
                            return migration.state == store::MigrationState::kPending;
                          });
  return is_pending ? ExitCode::kFailed : ExitCode::kDone;
}

ExitCode Migrate(const postgres::DatabaseOptions& database, bool own_tables) {
  const Result<store::Migrated> migrated = store::Migrate(database, {.own_tables = own_tables});
  if (!migrated) {
    log::Error("the database cannot be brought to this version", {{"reason", migrated.error()}});
    return ExitCode::kFailed;
  }
  if (migrated->server_remark) log::Warning(*migrated->server_remark, {{"server", migrated->server}});
  for (const std::string& name : migrated->applied) log::Info("migration applied", {{"name", name}});
  for (const std::string& statement : migrated->left_to_others) {
    log::Info("a role with more rights must run this so that a role with few can run the dispatcher",
              {{"statement", statement}, {"see", "deploy/SECURITY.md"}});
  }
  if (migrated->closes_schema) {
    log::Warning(
        "every role may create objects in the dispatcher's schema and so change what its functions call",
        {{"fix", *migrated->closes_schema}});
  }
  log::Info("the database is at this version", {{"version", POSTCALL_VERSION},
                                                {"schema", migrated->schema},
                                                {"applied", migrated->applied.size()},
                                                {"partitions_ahead_days", migrated->days_ahead}});
  return ExitCode::kDone;
}

}  // namespace

ExitCode MigrateCommand(const Options& options) {
  const postgres::DatabaseOptions database{options.database_url, "postcall-dispatcher migrate"};
  try {
    return options.status ? PrintStatus(database) : Migrate(database, options.own_tables);
  } catch (const store::NeedsNewerBinary& error) {
    log::Error("the database does not fit", {{"reason", error.what()}});
    return ExitCode::kBadUsage;
  } catch (const postgres::DatabaseError& error) {
    log::Error("the database cannot be used", {{"reason", error.what()}});
    return ExitCode::kFailed;
  }
}

}  // namespace postcall::cli
