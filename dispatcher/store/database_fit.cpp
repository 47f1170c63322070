#include "dispatcher/store/database_fit.h"

#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/database_facts.h"
#include "dispatcher/store/definitions.h"
#include "migrations/migrations.h"

namespace postcall::store {
namespace {

constexpr const char* kMigrated = R"sql(
    SELECT current_setting('server_version_num')::int AS server,
           to_regclass('webhook_migrations') IS NOT NULL AS is_migrated,
           to_regclass('webhook_definitions') IS NULL AS is_of_before
)sql";

// A database of the platform's own tables lacks nothing when the migrations about ours are missing.
constexpr const char* kState = R"sql(
    SELECT coalesce(max(compatibility), 0) AS compatibility,
           array_to_string(array_agg(version), ' ') AS versions,
           EXISTS (SELECT FROM webhook_settings WHERE key = 'own_tables' AND value = 'true') AS own_tables
      FROM webhook_migrations
)sql";

}  // namespace

const char* const kFaultOfUnreleased =
    "the dispatcher's tables in this database are of a version before the first release, which cannot be "
    "upgraded: use a new database";

const char* const kFaultOfSourceViews = R"sql(
    WITH need (view, col, type) AS (VALUES
      ('webhook_source', 'call_id', 'text'), ('webhook_source', 'agent_id', 'text'),
      ('webhook_source', 'recording_uri', 'text'), ('webhook_source', 'transcript_uri', 'text'),
      ('webhook_source', 'name', 'text'), ('webhook_source', 'phone_number', 'text'),
      ('webhook_source', 'email', 'text'), ('webhook_source', 'scheduled_time', 'text'),
      ('webhook_source', 'address', 'text'), ('webhook_source', 'pincode', 'text'),
      ('webhook_source', 'city', 'text'), ('webhook_source', 'state', 'text'),
      ('webhook_source', 'country', 'text'), ('webhook_source', 'age', 'text'),
      ('webhook_source', 'gender', 'text'), ('webhook_source', 'occupation', 'text'),
      ('webhook_source', 'company', 'text'), ('webhook_source', 'preferred_contact_method', 'text'),
      ('webhook_source', 'best_time_to_call', 'text'), ('webhook_source', 'language', 'text'),
      ('webhook_source', 'summary', 'text'), ('webhook_source', 'mood', 'text'),
      ('webhook_source', 'score', 'numeric'), ('webhook_source', 'call_outcome', 'text'),
      ('webhook_source', 'classification', 'text'), ('webhook_source', 'interests_and_needs', 'jsonb'),
      ('webhook_source', 'action_items', 'jsonb'), ('webhook_source', 'sentiment', 'jsonb'),
      ('webhook_source', 'completed', 'boolean'),
      ('webhook_agents', 'id', 'text'), ('webhook_agents', 'name', 'text'), ('webhook_agents', 'settings', 'jsonb')),
    home (oid) AS (
      SELECT coalesce((SELECT c.relnamespace FROM pg_class c WHERE c.oid = to_regclass('webhook_outbox')),
                      (SELECT n.oid FROM pg_namespace n WHERE n.nspname = current_schema())))
    SELECT CASE
             WHEN v.oid IS NULL THEN
               format('there is no view %s in the schema %s; with --own-tables the platform defines it',
                      need.view, home.oid::regnamespace)
             WHEN NOT has_table_privilege(v.oid, 'SELECT') THEN
               format('the role %s may not read %s', current_user, need.view)
             WHEN a.attname IS NULL THEN
               format('the view %s lacks the column %s of type %s', need.view, need.col, need.type)
             ELSE
               format('the column %s of the view %s has the type %s where %s is needed',
                      need.col, need.view, format_type(a.atttypid, a.atttypmod), need.type)
           END
      FROM need
     CROSS JOIN home
      LEFT JOIN pg_class v ON v.oid = to_regclass(need.view) AND v.relnamespace = home.oid
      LEFT JOIN pg_attribute a ON a.attrelid = v.oid AND a.attname = need.col AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_type t ON t.oid = a.atttypid
     WHERE v.oid IS NULL
        OR NOT has_table_privilege(v.oid, 'SELECT')
        OR a.attname IS NULL
        OR NOT CASE need.type
                 WHEN 'text' THEN t.typcategory = 'S'
                 WHEN 'numeric' THEN t.typcategory = 'N'
                 ELSE t.oid = need.type::regtype
               END
     LIMIT 1
)sql";

// The tables below a view are read with the rights of the view's owner; with security_invoker, with those of
// the role that reads the view: this role, or the owner of a SECURITY DEFINER function. A policy may let a
// role see all rows.
const char* const kFaultOfRowSecurity = R"sql(
    WITH RECURSIVE
      reads (relation, role) AS (
          SELECT v.oid, reader.oid
            FROM pg_class v
           CROSS JOIN pg_roles reader
           WHERE v.oid IN (to_regclass('webhook_source'), to_regclass('webhook_agents'))
             AND (reader.rolname = current_user
                  OR reader.oid = (SELECT proowner FROM pg_proc WHERE oid = to_regprocedure('webhook_enqueue(text)')))
        UNION
          SELECT d.refobjid,
                 CASE WHEN (SELECT option_value::boolean FROM pg_options_to_table(v.reloptions)
                             WHERE option_name = 'security_invoker')
                      THEN reads.role ELSE v.relowner END
            FROM reads
            JOIN pg_class v ON v.oid = reads.relation AND v.relkind = 'v'
            JOIN pg_rewrite rule ON rule.ev_class = v.oid AND rule.ev_type = '1'
            JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = rule.oid
                            AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> v.oid)
    SELECT format('row level security of the table %s hides rows from the role %s, as which the dispatcher reads it: '
                  'give that role BYPASSRLS, or the table a policy FOR SELECT TO %s USING (true)',
                  t.oid::regclass, r.rolname, quote_ident(r.rolname))
      FROM reads
      JOIN pg_class t ON t.oid = reads.relation AND t.relrowsecurity
      JOIN pg_roles r ON r.oid = reads.role
     WHERE NOT (r.rolsuper OR r.rolbypassrls)
       AND (t.relforcerowsecurity OR NOT pg_has_role(r.oid, t.relowner, 'USAGE'))
       AND (SELECT bool_or(p.polpermissive AND p.shows_all) AND bool_and(p.polpermissive OR p.shows_all)
              FROM (SELECT polpermissive, pg_get_expr(polqual, polrelid) = 'true' AS shows_all
                      FROM pg_policy
                     WHERE polrelid = t.oid
                       AND polcmd IN ('r', '*')
                       AND EXISTS (SELECT FROM unnest(polroles) AS named (role)
                                    WHERE named.role = 0 OR pg_has_role(r.oid, named.role, 'USAGE'))) AS p) IS NOT TRUE
     LIMIT 1
)sql";

std::optional<std::string> FaultOfCompatibility(int database) {
  if (database <= migrations::kCompatibility) return std::nullopt;
  return "the database demands compatibility number " + std::to_string(database) + " and this binary has " +
         std::to_string(migrations::kCompatibility) + ": use a newer postcall-dispatcher";
}

std::optional<std::string> FaultOfDatabase(postgres::Session& session) {
  postgres::Transaction transaction(session);
  const pqxx::result migrated = transaction.Exec(kMigrated);
  if (auto fault = FaultOfServer(migrated[0]["server"].as<int>())) return fault;
  if (!migrated[0]["is_migrated"].as<bool>()) {
    return "the database has none of the dispatcher's tables: run `postcall-dispatcher migrate`";
  }
  if (migrated[0]["is_of_before"].as<bool>()) return kFaultOfUnreleased;
  const pqxx::result state = transaction.Exec(kState);
  if (auto fault = FaultOfCompatibility(state[0]["compatibility"].as<int>())) return fault;

  const std::string applied = " " + state[0]["versions"].as<std::string>("") + " ";
  const bool own_tables = state[0]["own_tables"].as<bool>();
  for (const migrations::Migration& migration : migrations::All()) {
    if (own_tables && migration.kind == migrations::Kind::kSourceTables) continue;
    if (applied.find(" " + std::to_string(migration.version) + " ") == std::string::npos) {
      return "the database lacks the migration " + std::string(migration.name) +
             ": run `postcall-dispatcher migrate`";
    }
  }

  if (const auto pending = PendingDefinitions(transaction, own_tables); !pending.empty()) {
    return "the database does not have " + pending.front() +
           " as this version has it: run `postcall-dispatcher migrate`";
  }

  for (const char* const check : {kFaultOfSourceViews, kFaultOfRowSecurity}) {
    const pqxx::result fault = transaction.Exec(check);
    if (!fault.empty()) return fault[0][0].as<std::string>();
  }
  transaction.Commit();
  return std::nullopt;
}

}  // namespace postcall::store
