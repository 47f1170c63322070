// An empty database for `migrate`, and functions that check the result. One thread.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "dispatcher/store/database_fit.h"
#include "dispatcher/store/migrate.h"
#include "migrations/migrations.h"
#include "tests/support/client.h"
#include "tests/support/private_postgres.h"

namespace postcall::test {

class EmptyDatabase : public ::testing::Test {
 protected:
  // The number of files that make tables, and the number of all files.
  static int Tables() { return static_cast<int>(migrations::All().size()); }
  static int Files() { return Tables() + static_cast<int>(migrations::Definitions().size()); }

  postgres::DatabaseOptions Options() const { return {.url = url_, .application_name = "test"}; }
  // The options of a session with the rights and the search path of another role.
  postgres::DatabaseOptions OptionsOf(const std::string& role) {
    return {.url = SharedPostgres().Url(db_.Value("SELECT current_database()"), role),
            .application_name = "test"};
  }
  std::optional<std::string> Fault() const {
    postgres::Session session(Options());
    return store::FaultOfDatabase(session);
  }
  // Makes a role that may log in and create schemas here, and sets its search path.
  void MakeRole(const std::string& role, const std::string& search_path) {
    SharedPostgres().Execute("DO $$ BEGIN CREATE ROLE " + role +
                             " LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
    const std::string database = db_.Value("SELECT current_database()");
    db_.Run("GRANT CREATE ON DATABASE " + database + " TO " + role);
    db_.Run("ALTER ROLE " + role + " IN DATABASE " + database + " SET search_path = " + search_path);
  }

  const std::string url_ = SharedPostgres().CreateDatabase();
  Client db_{url_};
};

}  // namespace postcall::test
