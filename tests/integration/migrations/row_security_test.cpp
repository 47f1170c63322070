// Row level security of the platform's tables: when it hides calls from the dispatcher, the dispatcher says
// so before a call is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dispatcher/store/database_fit.h"
#include "dispatcher/store/migrate.h"
#include "tests/support/private_postgres.h"

namespace postcall::test {
namespace {

using store::Migrate;
using ::testing::AllOf;
using ::testing::HasSubstr;

class RowSecurity : public ::testing::Test {
 protected:
  // A cluster of its own, where the owner of the tables is not a superuser.
  RowSecurity() {
    for (const std::string role : {"plain", "other"}) postgres_.Execute("CREATE ROLE " + role + " LOGIN");
    postgres_.Execute("CREATE ROLE postcall_service; CREATE ROLE postcall_reader");
    postgres_.Execute("CREATE ROLE dispatcher LOGIN IN ROLE postcall_service");
    postgres_.Execute("CREATE DATABASE one OWNER plain");
    const auto migrated = Migrate(Options("plain"));
    if (!migrated) throw std::runtime_error(migrated.error());
  }

  postgres::DatabaseOptions Options(const std::string& role) const {
    return {.url = postgres_.Url("one", role), .application_name = "test"};
  }
  void Run(const std::string& sql) { postgres_.Execute(sql, "one"); }
  // The fault that keeps the service from running; empty when there is none.
  std::string Fault(const std::string& role = "dispatcher") const {
    postgres::Session session(Options(role));
    return store::FaultOfDatabase(session).value_or("");
  }

  PrivatePostgres postgres_;
};

TEST_F(RowSecurity, OfATableOfTheSameOwnerHidesNothingUnlessItIsForced) {
  Run("ALTER TABLE calls ENABLE ROW LEVEL SECURITY");
  EXPECT_EQ(Fault(), "");
  Run("ALTER TABLE calls FORCE ROW LEVEL SECURITY");
  EXPECT_THAT(Fault(),
              AllOf(HasSubstr("row level security of the table calls hides rows from the role plain"),
                    HasSubstr("BYPASSRLS")));
  EXPECT_THAT(Migrate(Options("plain")).error(), HasSubstr("row level security of the table calls"));
}

TEST_F(RowSecurity, OfATableOfAnotherOwnerIsReportedForEachView) {
  Run("ALTER TABLE agents OWNER TO other; GRANT SELECT ON agents TO plain");
  EXPECT_EQ(Fault(), "");
  Run("ALTER TABLE agents ENABLE ROW LEVEL SECURITY");
  EXPECT_THAT(Fault(), HasSubstr("of the table agents hides rows from the role plain"));
  Run("GRANT other TO plain");
  EXPECT_EQ(Fault(), "") << "the view has its owner's rights";
}

TEST_F(RowSecurity, HidesNothingFromARoleThatIsExempt) {
  Run("ALTER TABLE calls ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
  ASSERT_NE(Fault(), "");
  Run("ALTER ROLE plain BYPASSRLS");
  EXPECT_EQ(Fault(), "");
  Run("ALTER ROLE plain NOBYPASSRLS");
  Run("CREATE POLICY part ON calls FOR SELECT TO plain USING (id <> 'hidden')");
  EXPECT_NE(Fault(), "");
  Run("CREATE POLICY others ON calls FOR SELECT TO other USING (true)");
  EXPECT_NE(Fault(), "");
  Run("CREATE POLICY whole ON calls FOR SELECT TO plain USING (true)");
  EXPECT_EQ(Fault(), "") << "the error says to do this";
  Run("CREATE POLICY narrow ON calls AS RESTRICTIVE TO PUBLIC USING (id <> 'hidden')");
  EXPECT_NE(Fault(), "");
}

TEST_F(RowSecurity, IsFoundBelowViewsOfViews) {
  Run("ALTER VIEW webhook_source RENAME TO whole_source");
  Run("CREATE VIEW webhook_source AS SELECT * FROM whole_source; GRANT SELECT ON webhook_source TO "
      "postcall_service");
  EXPECT_EQ(Fault(), "");
  Run("ALTER TABLE call_analysis ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
  EXPECT_THAT(Fault(), HasSubstr("of the table call_analysis hides rows from the role plain"));
}

// Such a view is read with the rights of the service's own role.
TEST_F(RowSecurity, AppliesToTheReaderOfAViewWithSecurityInvoker) {
  Run("ALTER TABLE calls ENABLE ROW LEVEL SECURITY; GRANT SELECT ON calls TO dispatcher");
  Run("ALTER VIEW webhook_source SET (security_invoker = on)");
  EXPECT_THAT(Fault(), HasSubstr("of the table calls hides rows from the role dispatcher"));
  EXPECT_EQ(Fault("plain"), "");
  Run("ALTER ROLE dispatcher BYPASSRLS");
  EXPECT_EQ(Fault(), "");
}

}  // namespace
}  // namespace postcall::test
