// Executes a statement with parameters; libpqxx 6 and 7 have different functions for this.
#pragma once

#include <pqxx/result>
#include <pqxx/transaction_base>
#include <pqxx/version>
#include <string>

#if PQXX_VERSION_MAJOR >= 7
#include <pqxx/params>
#include <pqxx/prepared_statement>
#endif

namespace postcall::postgres {

template <class... Parameters>
pqxx::result ExecWith(pqxx::transaction_base& work, const char* statement, const Parameters&... parameters) {
#if PQXX_VERSION_MAJOR > 7 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR >= 9)
  return work.exec(statement, pqxx::params(parameters...));
#else
  return work.exec_params(statement, parameters...);
#endif
}

template <class... Parameters>
pqxx::result ExecPreparedWith(pqxx::transaction_base& work, const std::string& name,
                              const Parameters&... parameters) {
#if PQXX_VERSION_MAJOR > 7 || (PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR >= 9)
  return work.exec(pqxx::prepped(name), pqxx::params(parameters...));
#else
  return work.exec_prepared(name, parameters...);
#endif
}

}  // namespace postcall::postgres
