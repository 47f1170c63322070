#include "dispatcher/store/migrate.h"

#include <algorithm>
#include <chrono>
#include <pqxx/pqxx>
#include <set>
#include <thread>

#include "common/clock.h"
#include "dispatcher/store/connection.h"
#include "dispatcher/store/database_fit.h"
#include "migrations/migrations.h"

namespace postcall::store {
namespace {

using migrations::Kind;
using migrations::Migration;

constexpr auto kPatience = std::chrono::minutes(1);
constexpr const char* kLockTimeout = "55P03";

// The order matters: the lock may be waited for as long as another migration takes, and only then do the
// limits hold. lock_timeout is shorter than deadlock_timeout (1 s), so that a deadlock with the platform ends
// by our giving up and never by PostgreSQL's ending the platform's transaction.
// The number is arbitrary; it says that no two migrations of this program run at once.
constexpr const char* kEnter = R"sql(
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '10min';
    SET LOCAL lock_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = '10min';
    SET LOCAL client_min_messages = warning;
    SELECT pg_advisory_xact_lock(7225613918041233);
    SET LOCAL lock_timeout = '500ms';
)sql";

// Where our tables are, or will be.
constexpr const char* kHome = R"sql(
    SELECT coalesce(
      (SELECT n.nspname::text
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = to_regclass('webhook_migrations')),
      current_schema()::text) AS schema
)sql";

// Our schema first: there new tables go. The others stay, for the platform's tables may be in any of them.
constexpr const char* kMoveIn = R"sql(
    SELECT set_config('search_path', quote_ident($1) || ', ' || current_setting('search_path'), true)
)sql";

constexpr const char* kHasRecords = "SELECT to_regclass('webhook_migrations') IS NOT NULL";

constexpr const char* kRecords = R"sql(
    CREATE TABLE webhook_migrations (
      version       int         NOT NULL,
      name          text        NOT NULL,
      applied_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
      compatibility int         NOT NULL,
      CONSTRAINT webhook_migrations_pkey PRIMARY KEY (version)
    );
    COMMENT ON TABLE webhook_migrations IS 'The migrations of the dispatcher that this database has';
    COMMENT ON COLUMN webhook_migrations.compatibility IS
      'A dispatcher with a lower compatibility number refuses this database; the highest counts';

    CREATE TABLE webhook_settings (
      key   text NOT NULL,
      value text NOT NULL,
      CONSTRAINT webhook_settings_pkey PRIMARY KEY (key)
    );
    COMMENT ON TABLE webhook_settings IS 'Facts about this installation; own_tables: true or false';
)sql";

constexpr const char* kRememberOwnTables = R"sql(
    INSERT INTO webhook_settings (key, value)
    VALUES ('own_tables', $1)
        ON CONFLICT (key) DO NOTHING
)sql";

constexpr const char* kOwnTables = R"sql(
    SELECT EXISTS (SELECT FROM webhook_settings WHERE key = 'own_tables' AND value = 'true')
)sql";

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

constexpr const char* kRemember = R"sql(
    INSERT INTO webhook_migrations (version, name, compatibility)
    VALUES ($1, $2, $3)
)sql";

std::string FileName(const Migration& migration) {
  const std::string number = std::to_string(migration.version);
  return std::string(4 - std::min<std::size_t>(4, number.size()), '0') + number + "_" +
         std::string(migration.name);
}

// "ERROR:  table calls lacks …\nCONTEXT: …": what a person needs of it.
std::string Sentence(std::string message) {
  message.resize(std::min(message.size(), message.find('\n')));
  const auto colon = message.find(":  ");
  return colon < 10 ? message.substr(colon + 3) : message;
}

int CompatibilityOf(const pqxx::result& applied) {
  int highest = 0;
  for (const auto& row : applied) highest = std::max(highest, row["compatibility"].as<int>());
  return highest;
}

// One transaction: applies the first migration that is missing, and tells its name; or, when none is, checks
// the views, makes partitions and tells nothing.
Result<std::optional<std::string>> Step(pqxx::connection& connection, const MigrateOptions& options,
                                        Migrated& migrated) {
  pqxx::work work(connection);
  work.exec(kEnter);

  const std::string encoding = work.exec1("SHOW server_encoding")[0].as<std::string>();
  if (encoding != "UTF8") {
    return Error{"the database's encoding is " + encoding +
                 ", and payloads are UTF-8: use a database created with ENCODING 'UTF8'"};
  }
  const pqxx::row home = work.exec1(kHome);
  if (home[0].is_null()) {
    return Error{"the search_path of this role names no schema that exists: create one, or set search_path"};
  }
  migrated.schema = home[0].as<std::string>();
  work.exec_params(kMoveIn, migrated.schema);
  if (!work.exec1(kHasRecords)[0].as<bool>()) work.exec(kRecords);

  work.exec_params(kRememberOwnTables, options.own_tables ? "true" : "false");
  migrated.own_tables = work.exec1(kOwnTables)[0].as<bool>();
  if (options.own_tables && !migrated.own_tables) {
    return Error{
        "this database was set up with the dispatcher's own source tables, so --own-tables comes too late"};
  }

  const pqxx::result applied = work.exec(kApplied);
  if (auto fault = FaultOfCompatibility(CompatibilityOf(applied))) throw NeedsNewerBinary(*fault);
  std::set<int> versions;
  for (const auto& row : applied) versions.insert(row["version"].as<int>());

  // The platform's own views come before our first table, so that a mistake in them leaves nothing behind;
  // views of ours come with the first migration.
  if (migrated.own_tables || !versions.empty()) {
    for (const char* const check : {kFaultOfSourceViews, kFaultOfRowSecurity}) {
      const pqxx::result fault = work.exec(check);
      if (!fault.empty()) return Error{fault[0][0].as<std::string>()};
    }
  }

  for (const Migration& migration : migrations::All()) {
    if (versions.contains(migration.version)) continue;
    if (migrated.own_tables && migration.kind == Kind::kSourceTables) continue;
    try {
      work.exec(std::string(migration.sql));
    } catch (const pqxx::sql_error& error) {
      if (!connection.is_open() || error.sqlstate() == kLockTimeout) throw;
      return Error{"migration " + FileName(migration) + ": " + Sentence(error.what())};
    }
    work.exec_params(kRemember, migration.version, std::string(migration.name), migration.compatibility);
    work.commit();
    return std::optional(FileName(migration));
  }

  migrated.days_ahead = work.exec1("SELECT webhook_make_partitions(7)")[0].as<int>();
  for (const auto& row : work.exec_params(kClosesSchema, migrated.schema)) {
    migrated.closes_schema = row[0].as<std::string>();
  }
  if (!migrated.applied.empty()) {
    migrated.left_to_others.clear();
    for (const auto& row : work.exec(kGrantRoles)) {
      migrated.left_to_others.push_back(row[0].as<std::string>());
    }
  }
  work.commit();
  return std::optional<std::string>();
}

}  // namespace

Result<Migrated> Migrate(const DatabaseOptions& database, const MigrateOptions& options) {
  const SteadyTime deadline = Steady::now() + kPatience;
  Migrated migrated;
  auto connection = Connect(database);
  while (true) {
    try {
      const auto step = Step(*connection, options, migrated);
      if (!step) return Error{step.error()};
      if (!*step) return migrated;
      migrated.applied.push_back(**step);
      continue;
    } catch (const pqxx::sql_error& error) {
      if (!connection->is_open()) throw Unavailable(Sentence(error.what()), error.sqlstate());
      if (error.sqlstate() != kLockTimeout) return Error{Sentence(error.what())};
      if (Steady::now() >= deadline) {
        return Error{"a table stayed locked by other transactions for a minute: try again when it is quiet"};
      }
    } catch (const pqxx::transaction_rollback& error) {  // a deadlock
      if (Steady::now() >= deadline) return Error{Sentence(error.what())};
    } catch (const pqxx::pqxx_exception& error) {
      throw Unavailable(Sentence(error.base().what()), "");
    }
    // Let those pass that queued behind us.
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

DatabaseStatus ReadDatabaseStatus(const DatabaseOptions& database) {
  auto connection = Connect(database);
  DatabaseStatus status;
  try {
    pqxx::work work(*connection);
    work.exec("SET LOCAL statement_timeout = '10s'");
    pqxx::result applied;
    const bool migrated = work.exec1(kHasRecords)[0].as<bool>();
    if (migrated) {
      status.schema = work.exec1(kHome)[0].as<std::string>();
      status.own_tables = work.exec1(kOwnTables)[0].as<bool>();
      applied = work.exec(kApplied);
      status.compatibility = CompatibilityOf(applied);
    }
    for (const auto& row : applied) {
      const int version = row["version"].as<int>();
      const bool ours = version <= static_cast<int>(migrations::All().size());
      status.migrations.push_back({.version = version,
                                   .name = row["name"].as<std::string>(),
                                   .state = ours ? MigrationState::kApplied : MigrationState::kUnknown,
                                   .applied_at = row["applied_at"].as<std::string>()});
    }
  } catch (const pqxx::sql_error& error) {
    // libpqxx 6 does not give every refusal its code, so the connection tells.
    if (!connection->is_open()) throw Unavailable(Sentence(error.what()), error.sqlstate());
    throw Refused(Sentence(error.what()), error.sqlstate());
  } catch (const pqxx::pqxx_exception& error) {
    throw Unavailable(Sentence(error.base().what()), "");
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
