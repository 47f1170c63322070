#include "dispatcher/store/database_facts.h"

#include "dispatcher/postgres/transaction.h"

namespace postcall::store {
namespace {

constexpr int kOldestServer = 130'000;     // has xid8
constexpr int kOldestSupported = 150'000;  // has GRANT SET ON PARAMETER, and views with security_invoker

constexpr const char* kFacts = R"sql(
    SELECT current_setting('server_version_num')::int AS server,
           current_user AS role
)sql";

}  // namespace

DatabaseFacts ReadDatabaseFacts(postgres::Session& session) {
  postgres::Transaction transaction(session);
  const pqxx::result facts = transaction.Exec(kFacts);
  const int server = facts[0]["server"].as<int>();
  DatabaseFacts read{.database = session.place(),
                     .server = NameOfServer(server),
                     .role = facts[0]["role"].as<std::string>(),
                     .remark = RemarkOnServer(server)};
  transaction.Commit();
  return read;
}

std::string NameOfServer(int number) {
  return "PostgreSQL " + std::to_string(number / 10'000) + "." + std::to_string(number % 10'000);
}

std::optional<std::string> FaultOfServer(int number) {
  if (number >= kOldestServer) return std::nullopt;
  return NameOfServer(number) + " is too old for the dispatcher: use PostgreSQL 15 to 18";
}

std::optional<std::string> RemarkOnServer(int number) {
  if (number >= kOldestSupported) return std::nullopt;
  return "this PostgreSQL works and is not supported, use PostgreSQL 15 to 18: only a superuser can set "
         "postcall.wait_for here, and views cannot have security_invoker";
}

}  // namespace postcall::store
