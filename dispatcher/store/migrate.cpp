#include "dispatcher/store/migrate.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "dispatcher/postgres/sqlstate.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/database_facts.h"
#include "dispatcher/store/database_fit.h"
#include "dispatcher/store/definitions.h"
#include "migrations/migrations.h"

namespace postcall::store {
namespace {

using migrations::Kind;
using migrations::Migration;

// How long one statement may take, and so how long we wait for another migration.
constexpr std::chrono::minutes kLimit{10};

// The order matters: another migration may hold the advisory lock for long, and the limit is for the locks
// that come after it. The limit is shorter than deadlock_timeout (1 s), so that a deadlock with the platform
// ends our transaction and never the platform's.
// The number of the advisory lock is arbitrary; no two migrations of this program run at once.
constexpr const char* kEnter = R"sql(
    SET LOCAL lock_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = '10min';
    SELECT pg_advisory_xact_lock(7225613918041233);
    SET LOCAL lock_timeout = '500ms')sql";

// A running migration locks what is read here. The read waits for its end, up to the limit of a statement.
constexpr postgres::Settings kWaitForLocks{.lock_limit = std::chrono::milliseconds(0)};

// The schema that has our tables, or will have them.
constexpr const char* kHome = R"sql(
    SELECT coalesce(
      (SELECT n.nspname::text
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = to_regclass('webhook_migrations')),
      current_schema()::text) AS schema
)sql";

// Our schema comes first, because new tables are created there. The others stay, because the platform's
// tables may be in any of them.
constexpr const char* kMoveIn = R"sql(
    SELECT set_config('search_path', quote_ident($1) || ', ' || current_setting('search_path'), true)
)sql";

constexpr const char* kHasRecords = R"sql(
    SELECT to_regclass('webhook_migrations') IS NOT NULL AS is_migrated,
           to_regclass('webhook_definitions') IS NULL AS is_of_before
)sql";

constexpr const char* kRememberOwnTables = R"sql(
    INSERT INTO webhook_settings (key, value)
    VALUES ('own_tables', $1)
        ON CONFLICT (key) DO NOTHING
)sql";

// An older binary does not change the functions and views of a newer version.
constexpr const char* kRememberVersion = R"sql(
    INSERT INTO webhook_settings AS s (key, value)
    VALUES ('version', $1)
        ON CONFLICT (key) DO UPDATE SET value = excluded.value
        WHERE string_to_array(s.value, '.')::int[] < string_to_array(excluded.value, '.')::int[]
)sql";

constexpr const char* kOwnTables = R"sql(
    SELECT EXISTS (SELECT FROM webhook_settings WHERE key = 'own_tables' AND value = 'true')
)sql";

constexpr const char* kVersion = "SELECT max(value) FROM webhook_settings WHERE key = 'version'";

constexpr const char* kApplied = R"sql(
    SELECT version, name, applied_at::text AS applied_at, compatibility
      FROM webhook_migrations
     ORDER BY version
)sql";

constexpr const char* kClosesSchema = R"sql(
    SELECT format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', $1::text)
     WHERE has_schema_privilege('public', $1::text, 'CREATE')
)sql";

constexpr const char* kGrantRoles = "SELECT webhook_grant_roles()";

constexpr const char* kRememberMigration = R"sql(
    INSERT INTO webhook_migrations (version, name, compatibility)
    VALUES ($1, $2, $3)
)sql";

int CompatibilityOf(const pqxx::result& applied) {
  int highest = 0;
  for (const auto& row : applied) highest = std::max(highest, row["compatibility"].as<int>());
  return highest;
}

// Returns an error that names the file. Throws what FaultOfFile throws.
std::optional<Error> Apply(postgres::Transaction& transaction, const Migration& migration) {
  try {
    transaction.ExecScript(std::string(migration.sql));
  } catch (const postgres::DatabaseError& error) {
    return FaultOfFile("migration " + std::string(migration.file), error);
  }
  transaction.Exec(kRememberMigration, migration.version, std::string(migration.name),
                   migration.compatibility);
  return std::nullopt;
}

// Returns the statements that another role must run.
std::vector<std::string> GrantRoles(postgres::Transaction& transaction) {
  std::vector<std::string> left_to_others;
  for (const auto& row : transaction.Exec(kGrantRoles)) left_to_others.push_back(row[0].as<std::string>());
  return left_to_others;
}

// One transaction: applies the first migration that is missing; or, when none is, the functions, views and
// triggers that are not as this binary has them, with their grants; or, when all are, makes partitions.
// Returns what it applied.
Result<std::vector<std::string>> Step(postgres::Session& session, const MigrateOptions& options,
                                      Migrated& migrated) {
  postgres::Transaction transaction(session, {.statement_limit = kLimit});
  transaction.ExecScript(kEnter);

  const int server = transaction.Exec("SHOW server_version_num")[0][0].as<int>();
  if (auto fault = FaultOfServer(server)) return Error{*fault};
  migrated.server = NameOfServer(server);
  migrated.server_remark = RemarkOnServer(server);

  const std::string encoding = transaction.Exec("SHOW server_encoding")[0][0].as<std::string>();
  if (encoding != "UTF8") {
    return Error{"the database's encoding is " + encoding +
                 ", and payloads are UTF-8: use a database created with ENCODING 'UTF8'"};
  }
  const pqxx::row home = transaction.Exec(kHome)[0];
  if (home[0].is_null()) {
    return Error{"the search_path of this role names no schema that exists: create one, or set search_path"};
  }
  migrated.schema = home[0].as<std::string>();
  transaction.Exec(kMoveIn, migrated.schema);
  std::vector<std::string> applied_now;
  const pqxx::row records = transaction.Exec(kHasRecords)[0];
  if (!records["is_migrated"].as<bool>()) {
    const Migration& first = migrations::All().front();  // it makes the tables that are read below
    if (auto fault = Apply(transaction, first)) return *fault;
    applied_now.emplace_back(first.file);
  } else if (records["is_of_before"].as<bool>()) {
    return Error{kFaultOfUnreleased};
  }

  transaction.Exec(kRememberVersion, std::string(POSTCALL_VERSION));
  transaction.Exec(kRememberOwnTables, options.own_tables ? "true" : "false");
  migrated.own_tables = transaction.Exec(kOwnTables)[0][0].as<bool>();
  if (options.own_tables && !migrated.own_tables) {
    return Error{
        "this database was set up with the dispatcher's own source tables, so --own-tables comes too late"};
  }

  const pqxx::result applied = transaction.Exec(kApplied);
  if (auto fault = FaultOfCompatibility(CompatibilityOf(applied))) throw NeedsNewerBinary(*fault);
  std::set<int> versions;
  for (const auto& row : applied) versions.insert(row["version"].as<int>());

  // The platform's own views are checked before our first table is committed, so that a mistake in them
  // leaves nothing behind. Our own ones are created by the second migration.
  if (migrated.own_tables || applied_now.empty()) {
    for (const char* const check : {kFaultOfSourceViews, kFaultOfRowSecurity}) {
      const pqxx::result fault = transaction.Exec(check);
      if (!fault.empty()) return Error{fault[0][0].as<std::string>()};
    }
  }

  for (const Migration& migration : migrations::All()) {
    if (versions.contains(migration.version)) continue;
    if (migrated.own_tables && migration.kind == Kind::kSourceTables) continue;
    if (auto fault = Apply(transaction, migration)) return *fault;
    transaction.Commit();
    applied_now.emplace_back(migration.file);
    return applied_now;
  }

  const std::vector<std::string> pending = PendingDefinitions(transaction, migrated.own_tables);
  if (!pending.empty()) {
    auto defined = ApplyDefinitions(transaction, migrated.schema, pending);
    if (!defined) return defined;
    // In the same transaction: a function that was dropped and created again lost its grants.
    migrated.left_to_others = GrantRoles(transaction);
    transaction.Commit();
    return defined;
  }

  migrated.days_ahead = transaction.Exec("SELECT webhook_make_partitions(7)")[0][0].as<int>();
  for (const auto& row : transaction.Exec(kClosesSchema, migrated.schema)) {
    migrated.closes_schema = row[0].as<std::string>();
  }
  transaction.Commit();
  return applied_now;
}

}  // namespace

Result<Migrated> Migrate(const postgres::DatabaseOptions& database, const MigrateOptions& options) {
  Migrated migrated;
  postgres::Session session(database);
  int attempts = 0;  // of the present step
  while (true) {
    try {
      const auto step = Step(session, options, migrated);
      if (!step) return Error{step.error()};
      if (step->empty()) return migrated;
      migrated.applied.insert(migrated.applied.end(), step->begin(), step->end());
      attempts = 0;
      continue;
    } catch (const postgres::Refused& refused) {
      return Error{refused.what()};
    } catch (const postgres::Unavailable& unavailable) {
      if (!session.connected()) throw;
      if (!IsToBeTriedAgain(unavailable)) return Error{unavailable.what()};
      // The limit counts attempts and not time, because the wait for another migration may take long.
      if (++attempts >= options.most_attempts) {
        if (!postgres::IsLockNotAvailable(unavailable.sqlstate())) return Error{unavailable.what()};
        return Error{
            "a table stayed locked by other transactions for a minute: try again when these transactions are "
            "over"};
      }
    }
    // The transactions that queued behind our request for the lock run now.
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

DatabaseStatus ReadDatabaseStatus(const postgres::DatabaseOptions& database) {
  DatabaseStatus status;
  postgres::Session session(database);
  postgres::Transaction transaction(session, kWaitForLocks);
  pqxx::result applied;
  const pqxx::result records = transaction.Exec(kHasRecords);
  if (records[0]["is_migrated"].as<bool>()) {
    if (records[0]["is_of_before"].as<bool>()) throw postgres::Refused(kFaultOfUnreleased, "");
    status.schema = transaction.Exec(kHome)[0][0].as<std::string>();
    status.own_tables = transaction.Exec(kOwnTables)[0][0].as<bool>();
    applied = transaction.Exec(kApplied);
    status.compatibility = CompatibilityOf(applied);
    status.version = transaction.Exec(kVersion)[0][0].as<std::string>();
    status.pending_definitions = PendingDefinitions(transaction, status.own_tables);
  }
  for (const auto& row : applied) {
    const int version = row["version"].as<int>();
    const bool ours = version <= migrations::All().back().version;
    status.migrations.push_back({.version = version,
                                 .name = row["name"].as<std::string>(),
                                 .state = ours ? MigrationState::kApplied : MigrationState::kUnknown,
                                 .applied_at = row["applied_at"].as<std::string>()});
  }
  for (const Migration& migration : migrations::All()) {
    if (std::ranges::find(status.migrations, migration.version, &MigrationStatus::version) !=
        status.migrations.end()) {
      continue;
    }
    const bool skipped = status.own_tables && migration.kind == Kind::kSourceTables;
    status.migrations.push_back({.version = migration.version,
                                 .name = std::string(migration.name),
                                 .state = skipped ? MigrationState::kSkipped : MigrationState::kPending,
                                 .applied_at = ""});
  }
  std::ranges::sort(status.migrations, {}, &MigrationStatus::version);
  return status;
}

}  // namespace postcall::store
