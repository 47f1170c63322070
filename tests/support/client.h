// One connection to a test's database, used like psql: one statement after the other, and the test itself
// runs BEGIN and COMMIT. One thread.
#pragma once

#include <pqxx/pqxx>
#include <string>

namespace postcall::test {

class Client {
 public:
  explicit Client(const std::string& url) : connection_(url), session_(connection_) {
    Run("SET statement_timeout = '60s'");  // a statement that never ends fails the test
  }

  // Throws pqxx::sql_error when the server refuses.
  pqxx::result Run(const std::string& sql) { return session_.exec(sql); }

  // The first column of the first row; empty when there is no row or it is NULL.
  std::string Value(const std::string& sql) {
    const pqxx::result result = Run(sql);
    return result.empty() ? "" : result[0][0].as<std::string>("");
  }

  int Number(const std::string& sql) { return Run(sql)[0][0].as<int>(); }
  bool True(const std::string& sql) { return Run(sql)[0][0].as<bool>(); }

  // The SQLSTATE with which the server refuses the statement; empty when it does not.
  std::string Refusal(const std::string& sql) {
    try {
      Run(sql);
      return "";
    } catch (const pqxx::insufficient_privilege&) {
      return "42501";  // libpqxx 6 does not set it
    } catch (const pqxx::sql_error& error) {
      return error.sqlstate();
    }
  }

 private:
  pqxx::connection connection_;
  pqxx::nontransaction session_;
};

}  // namespace postcall::test
