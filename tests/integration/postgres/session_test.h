// Shared by the tests of this room: a database of their own, a session with it, and another client.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pqxx/pqxx>
#include <string>

#include "dispatcher/postgres/database.h"
#include "tests/support/private_postgres.h"

namespace postcall::postgres {

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() { Query("CREATE TABLE written (n int)"); }

  // Executed by the client, not by the session.
  pqxx::result Query(const std::string& sql) {
    pqxx::work work(client_);
    pqxx::result result = work.exec(sql);
    work.commit();
    return result;
  }
  // The first column of the first row; "NULL" when it is NULL, or when there is no row.
  std::string Value(const std::string& sql) {
    const pqxx::result result = Query(sql);
    return result.empty() ? "NULL" : result[0][0].as<std::string>("NULL");
  }

  const std::string url_ = test::SharedPostgres().CreateDatabase();
  pqxx::connection client_{url_};
  Session session_{{.url = url_, .application_name = "session_test"}};
};

}  // namespace postcall::postgres
