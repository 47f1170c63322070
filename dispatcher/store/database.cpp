#include "dispatcher/store/database.h"

#include "dispatcher/store/transaction.h"

namespace postcall::store {

Session::Session(DatabaseOptions options) : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
}

Session::~Session() = default;

void Session::LimitBy(SteadyTime deadline) { state_->watchdog.LimitBy(deadline); }

void Session::KeepConnected() {
  constexpr std::chrono::seconds kLimit{1};  // nothing is asked of the server
  Transaction(*this, "", kLimit).Commit();
}

bool Session::connected() const { return state_->connection != nullptr; }

std::uint64_t Session::connection_number() const { return state_->number; }

}  // namespace postcall::store
