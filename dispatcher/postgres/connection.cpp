#include "dispatcher/postgres/connection.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <pqxx/except>
#include <pqxx/version>
#include <string>

#include "dispatcher/postgres/database_url.h"
#include "dispatcher/postgres/error_text.h"

namespace postcall::postgres {
namespace {

// libpqxx 6 silently reconnects when a transaction begins on a lost connection; libpqxx 7 never does.
void ForbidReconnect([[maybe_unused]] pqxx::connection& connection) {
#if PQXX_VERSION_MAJOR < 7
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  connection.inhibit_reactivation(true);
#pragma GCC diagnostic pop
#endif
}

}  // namespace

std::unique_ptr<pqxx::connection> Connect(const DatabaseOptions& options, SteadyTime by) {
  if (const std::optional<std::string> fault = FaultOfDatabaseUrl(options.url)) throw Unavailable(*fault, "");
  const auto left = std::chrono::floor<std::chrono::seconds>(by - Steady::now());
  if (left < ShortestConnect(options.url)) {
    throw Unavailable("the program is stopping, and too little time is left to connect to PostgreSQL", "");
  }
  try {
    auto connection = std::make_unique<pqxx::connection>(
        ConnectionWords(options.url, options.application_name, std::min(left, kConnectLimit)));
    ForbidReconnect(*connection);
    return connection;
  } catch (const pqxx::failure& error) {
    throw Unavailable(OneLine(WithoutPassword(error.what(), options.url)), "");
  }
}

}  // namespace postcall::postgres
