#include "dispatcher/store/definitions.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "dispatcher/postgres/array_literal.h"
#include "dispatcher/postgres/sqlstate.h"
#include "migrations/migrations.h"

namespace postcall::store {

using migrations::Definition;
using migrations::Kind;

namespace {

constexpr const char* kPending = R"sql(
    SELECT ours.name
      FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS ours (name, checksum, n)
      LEFT JOIN webhook_definitions d ON d.name = ours.name
     WHERE d.checksum IS DISTINCT FROM ours.checksum
       AND NOT EXISTS (SELECT FROM webhook_settings
                        WHERE key = 'version'
                          AND string_to_array(value, '.')::int[] > string_to_array($3, '.')::int[])
     ORDER BY ours.n
)sql";

constexpr const char* kSearchPath = "SELECT current_setting('search_path')";
constexpr const char* kOurSchemaAlone = "SELECT quote_ident($1) || ', pg_temp'";
constexpr const char* kSetSearchPath = "SELECT set_config('search_path', $1, true)";

// The view or function, the views that read it, and the views that read those. A view comes before what it
// reads.
constexpr const char* kToDrop = R"sql(
    WITH RECURSIVE dropped (oid, depth) AS (
        SELECT oid, 0 FROM pg_class WHERE relname = $1 AND relnamespace = to_regnamespace(current_schema())
      UNION
        SELECT oid, 0 FROM pg_proc WHERE proname = $1 AND pronamespace = to_regnamespace(current_schema())
      UNION
        SELECT rule.ev_class, dropped.depth + 1
          FROM dropped
          JOIN pg_depend d ON d.refobjid = dropped.oid
                          AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass)
                          AND d.classid = 'pg_rewrite'::regclass
          JOIN pg_rewrite rule ON rule.oid = d.objid AND rule.ev_class <> dropped.oid)
    SELECT coalesce('views/' || v.relname, 'functions/' || f.proname)                    AS file,
           coalesce(v.oid::regclass::text, f.oid::regprocedure::text)                    AS name,
           CASE WHEN v.oid IS NULL THEN 'DROP FUNCTION ' || f.oid::regprocedure::text
                WHEN v.relkind = 'm' THEN 'DROP MATERIALIZED VIEW ' || v.oid::regclass::text
                ELSE 'DROP VIEW ' || v.oid::regclass::text END                           AS statement,
           coalesce(v.relnamespace, f.pronamespace) = to_regnamespace(current_schema()) AS is_here
      FROM dropped
      LEFT JOIN pg_class v ON v.oid = dropped.oid
      LEFT JOIN pg_proc f ON f.oid = dropped.oid
     GROUP BY v.oid, v.relname, v.relkind, v.relnamespace, f.oid, f.proname, f.pronamespace
     ORDER BY max(dropped.depth) DESC
)sql";

constexpr const char* kRememberDefinition = R"sql(
    INSERT INTO webhook_definitions (name, checksum)
    VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = excluded.applied_at
)sql";

bool IsOurs(const std::string& file) {
  return std::ranges::find(migrations::Definitions(), file, &Definition::file) !=
         migrations::Definitions().end();
}

// Drops what the file creates, after our views that read it. It adds their files to `wanted`, so that they
// are created again.
std::optional<Error> Drop(postgres::Transaction& transaction, std::string_view file,
                          std::set<std::string, std::less<>>& wanted) {
  const std::string name(file.substr(file.find('/') + 1));
  for (const auto& row : transaction.Exec(kToDrop, name)) {
    const std::string dropped = row["file"].as<std::string>();
    if (!row["is_here"].as<bool>() || !IsOurs(dropped)) {
      return Error{"the columns of " + name + " change, and " + row["name"].as<std::string>() +
                   " reads it: drop that, migrate, and create it again"};
    }
    transaction.ExecScript(row["statement"].as<std::string>());
    wanted.insert(dropped);
  }
  return std::nullopt;
}

// False when the view or function of the file exists, and CREATE OR REPLACE cannot make this change to it.
bool Replace(postgres::Transaction& transaction, const Definition& definition) {
  const std::optional<postgres::Refused> refused = transaction.Attempt(std::string(definition.sql));
  if (refused && !postgres::IsBeyondReplace(refused->sqlstate())) throw *refused;
  return !refused;
}

}  // namespace

std::vector<std::string> PendingDefinitions(postgres::Transaction& transaction, bool own_tables) {
  postgres::ArrayLiteral names, checksums;
  for (const Definition& definition : migrations::Definitions()) {
    if (own_tables && definition.kind == Kind::kSourceTables) continue;
    names.Add(definition.file);
    checksums.Add(definition.checksum);
  }
  std::vector<std::string> pending;
  for (const auto& row : transaction.Exec(kPending, std::move(names).Close(), std::move(checksums).Close(),
                                          std::string(POSTCALL_VERSION))) {
    pending.push_back(row[0].as<std::string>());
  }
  return pending;
}

Result<std::vector<std::string>> ApplyDefinitions(postgres::Transaction& transaction,
                                                  const std::string& schema,
                                                  const std::vector<std::string>& files) {
  std::set<std::string, std::less<>> wanted(files.begin(), files.end());
  const std::string callers_path = transaction.Exec(kSearchPath)[0][0].as<std::string>();
  const std::string our_path = transaction.Exec(kOurSchemaAlone, schema)[0][0].as<std::string>();
  std::vector<std::string> applied;
  for (const Definition& definition : migrations::Definitions()) {
    if (!wanted.contains(definition.file)) continue;
    // Triggers are on the platform's tables, which may be in any schema.
    transaction.Exec(kSetSearchPath, definition.kind == Kind::kSourceTables ? callers_path : our_path);
    try {
      if (!Replace(transaction, definition)) {
        if (auto fault = Drop(transaction, definition.file, wanted)) return *fault;
        transaction.ExecScript(std::string(definition.sql));
      }
    } catch (const postgres::DatabaseError& error) {
      return FaultOfFile(std::string(definition.file), error);
    }
    transaction.Exec(kRememberDefinition, std::string(definition.file), std::string(definition.checksum));
    applied.emplace_back(definition.file);
  }
  transaction.Exec(kSetSearchPath, callers_path);
  return applied;
}

Error FaultOfFile(const std::string& file, const postgres::DatabaseError& error) {
  if (postgres::IsOfTheConnection(error.sqlstate()) || IsToBeTriedAgain(error)) throw;
  return Error{file + ": " + error.what()};
}

bool IsToBeTriedAgain(const postgres::DatabaseError& error) {
  return postgres::IsTransactionRollback(error.sqlstate()) || postgres::IsLockNotAvailable(error.sqlstate());
}

}  // namespace postcall::store
