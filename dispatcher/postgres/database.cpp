#include "dispatcher/postgres/database.h"

#include <poll.h>

#include <chrono>

#include "dispatcher/postgres/database_url.h"
#include "dispatcher/postgres/transaction.h"

namespace postcall::postgres {

Session::Session(DatabaseOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
}

Session::~Session() = default;

void Session::LimitBy(SteadyTime deadline) { state_->watchdog.LimitBy(deadline); }

void Session::KeepConnected() {
  constexpr std::chrono::seconds kLimit{1};  // nothing is asked of the server
  Transaction(*this, {.statement_limit = kLimit}).Commit();
}

bool Session::connected() const { return state_->connection != nullptr; }

bool Session::MayBeLost() const {
  if (!connected()) return true;
  pollfd socket{.fd = state_->connection->sock(), .events = POLLIN, .revents = 0};
  return ::poll(&socket, 1, 0) != 0;
}

void Session::Disconnect() { state_->connection.reset(); }

std::string Session::place() const {
  const auto& connection = state_->connection;
  if (!connection) return PlaceOf(state_->options.url);
  const auto text = [](const char* value) { return std::string(value == nullptr ? "" : value); };
  return Place(text(connection->hostname()), text(connection->port()), text(connection->dbname()));
}

std::uint64_t Session::connection_number() const { return state_->number; }

}  // namespace postcall::postgres
