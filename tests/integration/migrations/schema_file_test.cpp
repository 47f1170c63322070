// migrations/schema.sql shows the database that `migrate` makes. It is printed from the catalogs, because
// what pg_dump prints depends on its version; for the same reason it leaves the bodies of views out.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/support/client.h"
#include "tests/support/private_postgres.h"

namespace postcall::test {
namespace {

constexpr const char* kPath = POSTCALL_SOURCE_DIR "/migrations/schema.sql";
constexpr const char* kRenew =
    "RENEW=1 build/release/tests/integration/migrations/migrations_test --gtest_filter='SchemaFile.*'";

constexpr const char* kHead =
    "-- The database as `migrate` makes it: to be read, not to be run. The bodies of functions and views are "
    "in "
    "functions/ and\n"
    "-- views/. A test compares this file with a fresh database, and says how to renew it.\n";

// Rights on tables and views: on the whole, and on some of the columns.
constexpr const char* kGrants = R"sql(
    CREATE TEMP VIEW printed_grants AS
    SELECT relation, string_agg(format(E'GRANT %s ON %s TO %s;\n', what, relation::regclass, to_whom), ''
                                ORDER BY to_whom, what) AS printed
      FROM (SELECT c.oid AS relation, a.grantee::regrole::text AS to_whom,
                   string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS what
              FROM pg_class c, aclexplode(c.relacl) AS a
             WHERE a.grantee <> c.relowner
             GROUP BY c.oid, a.grantee
             UNION ALL
            SELECT c.oid, a.grantee::regrole::text,
                   format('%s (%s)', a.privilege_type, string_agg(t.attname, ', ' ORDER BY t.attnum))
              FROM pg_class c
              JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) AS a
             WHERE a.grantee <> c.relowner
             GROUP BY c.oid, a.grantee, a.privilege_type) AS grants
     WHERE to_whom <> '-'
     GROUP BY relation
)sql";

constexpr const char* kTables = R"sql(
    SELECT format(E'\n-- %s\nCREATE TABLE %s (\n%s\n)%s%s;\n',
                  coalesce(obj_description(c.oid), 'The platform''s'), c.relname,
                  (SELECT string_agg(l.line || CASE WHEN l.is_last THEN '' ELSE ',' END || coalesce('  -- ' || l.words, ''),
                                     E'\n' ORDER BY l.n, l.line)
                     FROM (SELECT n, line, words, row_number() OVER (ORDER BY n DESC, line DESC) = 1 AS is_last
                             FROM (SELECT a.attnum::int AS n,
                                          format('  %s %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                                                 CASE WHEN a.attnotnull THEN ' NOT NULL' END,
                                                 ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid, true)) AS line,
                                          col_description(c.oid, a.attnum) AS words
                                     FROM pg_attribute a
                                     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                                    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                                    UNION ALL
                                   SELECT 10000,
                                          format('  CONSTRAINT %s %s', k.conname, pg_get_constraintdef(k.oid, true)), NULL
                                     FROM pg_constraint k
                                    WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'f', 'c')) AS both_kinds) AS l),
                  ' PARTITION BY ' || pg_get_partkeydef(c.oid),
                  ' WITH (' || array_to_string(c.reloptions, ', ') || ')')
           || coalesce((SELECT string_agg(pg_get_indexdef(i.indexrelid) || E';\n', '' ORDER BY x.relname)
                          FROM pg_index i
                          JOIN pg_class x ON x.oid = i.indexrelid
                         WHERE i.indrelid = c.oid
                           AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)), '')
           || coalesce((SELECT string_agg(pg_get_triggerdef(t.oid, true) || E';\n', '' ORDER BY t.tgname)
                          FROM pg_trigger t
                         WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), '')
           || coalesce((SELECT g.printed FROM printed_grants g WHERE g.relation = c.oid), '') AS printed
      FROM pg_class c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
     ORDER BY c.relname LIKE 'webhook%', c.relname
)sql";

constexpr const char* kViews = R"sql(
    SELECT format(E'\n-- %s\nCREATE VIEW %s (\n%s\n) AS …;\n', obj_description(c.oid), c.relname,
                  string_agg(format('  %s %s', a.attname, format_type(a.atttypid, a.atttypmod))
                             || CASE WHEN a.attnum = c.relnatts THEN '' ELSE ',' END
                             || coalesce('  -- ' || col_description(c.oid, a.attnum), ''), E'\n' ORDER BY a.attnum))
           || coalesce((SELECT g.printed FROM printed_grants g WHERE g.relation = c.oid), '') AS printed
      FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
     GROUP BY c.oid
     ORDER BY c.relname
)sql";

constexpr const char* kFunctions = R"sql(
    SELECT format(E'\n-- %s\nCREATE FUNCTION %s(%s) RETURNS %s\nLANGUAGE %s%s%s%s%s\nAS …;\n%s',
                  obj_description(p.oid), p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),
                  l.lanname,
                  CASE p.provolatile WHEN 's' THEN ' STABLE' WHEN 'i' THEN ' IMMUTABLE' END,
                  CASE WHEN p.proisstrict THEN ' STRICT' END,
                  CASE WHEN p.prosecdef THEN ' SECURITY DEFINER' END,
                  (SELECT string_agg(E'\nSET ' || setting, '' ORDER BY n) FROM unnest(p.proconfig) WITH ORDINALITY AS s (setting, n)),
                  (SELECT string_agg(format(E'GRANT EXECUTE ON FUNCTION %s TO %s;\n', p.oid::regprocedure,
                                            coalesce(r.rolname, 'PUBLIC')), '' ORDER BY r.rolname)
                     FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                     LEFT JOIN pg_roles r ON r.oid = a.grantee
                    WHERE a.grantee <> p.proowner)) AS printed
      FROM pg_proc p
      JOIN pg_language l ON l.oid = p.prolang
     WHERE p.pronamespace = 'public'::regnamespace
     ORDER BY p.proname
)sql";

constexpr const char* kSequences = R"sql(
    SELECT string_agg(format(E'\nCREATE SEQUENCE %s AS %s;\n', seqrelid::regclass, seqtypid::regtype), ''
                      ORDER BY seqrelid::regclass::text) AS printed
      FROM pg_sequence
)sql";

constexpr const char* kDomains = R"sql(
    SELECT string_agg(format(E'\n-- %s\nCREATE DOMAIN %s AS %s %s;\n', obj_description(t.oid, 'pg_type'), t.oid::regtype,
                             format_type(t.typbasetype, t.typtypmod), pg_get_constraintdef(c.oid)), ''
                      ORDER BY t.typname) AS printed
      FROM pg_type t
      JOIN pg_constraint c ON c.contypid = t.oid
     WHERE t.typnamespace = 'public'::regnamespace
)sql";

std::string Print(Client& db) {
  db.Run(kGrants);
  std::string text = kHead + db.Value(kSequences) + db.Value(kDomains);
  for (const char* const objects : {kTables, kViews, kFunctions}) {
    for (const auto& row : db.Run(objects)) text += row["printed"].as<std::string>();
  }
  // Only pg_get_indexdef and pg_get_triggerdef name the schema.
  for (auto at = text.find(" public."); at != std::string::npos; at = text.find(" public.", at))
    text.erase(at + 1, 7);
  return text;
}

TEST(SchemaFile, ShowsTheDatabaseThatMigrateMakes) {
  Client db(SharedPostgres().CreateMigratedDatabase());
  if (db.Number("SELECT current_setting('server_version_num')::int") < 150000) {
    GTEST_SKIP() << "this server prints expressions differently";
  }
  const std::string made = Print(db);
  if (std::getenv("RENEW") != nullptr) std::ofstream(kPath, std::ios::trunc) << made;
  std::ifstream file(kPath);
  const std::string kept{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(kept, made) << "migrations/schema.sql is stale; renew it:\n  " << kRenew;
}

}  // namespace
}  // namespace postcall::test
