#include "dispatcher/postgres/transaction.h"

#include <exception>
#include <pqxx/except>
#include <string_view>

#include "dispatcher/postgres/connection.h"
#include "dispatcher/postgres/error_text.h"
#include "dispatcher/postgres/sqlstate.h"
#include "dispatcher/postgres/standby_wait.h"

namespace postcall::postgres {
namespace {

// If the database's default were a stricter isolation level, transactions would make each other fail.
constexpr const char* kReadCommitted = "ISOLATION LEVEL READ COMMITTED";

// What every transaction sets, besides its limits.
// A transaction that waits for a lock longer than lock_timeout is tried again later.
// idle_in_transaction_session_timeout frees the locks of a client whose machine vanished.
// JIT takes a tenth of a second to compile what runs for milliseconds.
// transaction_timeout, since PostgreSQL 17, would end a chore of ours that may take longer.
// With synchronous_commit off, a crash of the server forgets commits that were acknowledged already.
// With array_nulls off, the NULLs of a batch would be read as texts.
// A role's client_min_messages could hide the one warning that matters (see StandbyWait).
constexpr const char* kSettings = R"sql(
           set_config('idle_in_transaction_session_timeout', '15s', true),
           set_config('jit', 'off', true),
           set_config('array_nulls', 'on', true),
           set_config('client_min_messages', 'warning', true),
           CASE WHEN current_setting('transaction_timeout', true) <> '0'
                THEN set_config('transaction_timeout', '0', true) END,
           CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', true) END
)sql";

std::string InQuotes(std::chrono::milliseconds limit) { return "'" + std::to_string(limit.count()) + "'"; }

// In libpqxx 6 these errors are no sql_error and have no code.
const char* CodeOf(const pqxx::transaction_rollback& error) {
  if (dynamic_cast<const pqxx::deadlock_detected*>(&error) != nullptr) return kDeadlockDetected;
  if (dynamic_cast<const pqxx::serialization_failure*>(&error) != nullptr) return kSerializationFailure;
  return kTransactionRollback;
}

// Whether it is the server's own statement about its COMMIT. Without a code it is libpq's error about the
// connection; but libpqxx throws some errors without their codes.
bool SaysThatItDidNotCommit(const pqxx::failure& error) {
  if (dynamic_cast<const pqxx::statement_completion_unknown*>(&error) != nullptr) return false;
  if (dynamic_cast<const pqxx::transaction_rollback*>(&error) != nullptr) return true;
  if (dynamic_cast<const pqxx::insufficient_privilege*>(&error) != nullptr) return true;
  const auto* refused = dynamic_cast<const pqxx::sql_error*>(&error);
  return refused != nullptr && !refused->sqlstate().empty();
}

}  // namespace

Transaction::Transaction(Session& session, const Settings& settings, NotBegun)
    : state_(*session.state_), settings_(settings) {
  if (Steady::now() >= state_.watchdog.limit()) throw Unavailable("no time is left for the database", "");
}

Transaction::Transaction(Session& session, const Settings& settings)
    : Transaction(session, settings, NotBegun{}) {
  if (state_.connection) {
    try {
      Begin();
      return;
    } catch (const Unavailable&) {
      // When the connection was lost while idle, no transaction has begun on it, so it is safe to connect
      // again.
      if (state_.connection) throw;
    }
  }
  Open();
  Begin();
}

void Transaction::Open() {
  state_.connection = Connect(state_.options, state_.watchdog.limit());
  state_.prepared.clear();
  ++state_.number;
  state_.direct = false;
  try {
    // A pooler gives its clients other process ids than the server's.
    const auto pid = ExecMessage("SELECT pg_backend_pid()")[0][0].as<int>();
    state_.direct = !state_.is_pooled && pid == state_.connection->backendpid();
  } catch (const DatabaseError&) {
    if (state_.connection) DropConnection();  // the next one may show it
    throw;
  }
}

Transaction::~Transaction() { RollBack(); }

// BEGIN and the settings are one message.
void Transaction::Begin() {
  const std::string settings = AllSettings();
  Guarded([&] {
    work_.emplace(*state_.connection);
    work_->exec(std::string("BEGIN ") + kReadCommitted + "; " + settings);
  });
}

std::string Transaction::Limits() const {
  return "SET LOCAL statement_timeout = " + InQuotes(settings_.statement_limit) +
         "; SET LOCAL lock_timeout = " + InQuotes(settings_.lock_limit);
}

// All are one statement, because each statement costs as much as many settings.
std::string Transaction::AllSettings() {
  const auto with = [&](const std::string& statement_limit, const std::string& lock_limit) {
    return "SELECT set_config('statement_timeout', " + statement_limit +
           ", true), set_config('lock_timeout', " + lock_limit + ", true), " + kSettings +
           (settings_.planner == nullptr ? "" : std::string(", ") + settings_.planner);
  };
  const std::string statement_limit = InQuotes(settings_.statement_limit);
  const std::string lock_limit = InQuotes(settings_.lock_limit);
  if (!state_.direct) return with(statement_limit, lock_limit);
  const char* key = settings_.planner == nullptr ? kSettings : settings_.planner;
  return "EXECUTE " + NameInSql(key, with("$1", "$2")) + "(" + statement_limit + ", " + lock_limit + ")";
}

std::optional<pqxx::result> Transaction::ExecInOneMessage(Message message, const char* statement,
                                                          const std::function<std::string()>& literals) {
  const bool is_new = state_.connection == nullptr;
  if (is_new) Open();
  try {
    if (!state_.direct) {
      Begin();
      return std::nullopt;
    }
    const std::string settings = AllSettings();
    const std::string rest = std::string(kReadCommitted) + "; " + settings + "; EXECUTE " +
                             NameInSql(statement, statement) + literals();
    if (message == Message::kAlone) return ExecMessage("SET TRANSACTION " + rest);
    return Guarded([&] {
      work_.emplace(*state_.connection);
      return work_->exec("BEGIN " + rest);
    });
  } catch (const Unavailable&) {
    if (state_.connection || is_new) throw;
  }
  // The connection was lost while it was idle. If it was not idle, then the beginning of a transaction is not
  // committed, and a statement alone is safe to repeat.
  return ExecInOneMessage(message, statement, literals);
}

pqxx::result Transaction::ExecMessage(const std::string& statements) {
  return Guarded([&] {
    pqxx::nontransaction work(*state_.connection);
    return work.exec(statements);
  });
}

std::string Transaction::NameInSql(const char* key, const std::string& statement) {
  const auto known = state_.prepared.find(key);
  was_planned_before_ = known != state_.prepared.end();
  if (was_planned_before_) return known->second;
  const std::string name = state_.NewName();
  ExecMessage(Limits() + "; PREPARE " + name + " AS " + statement);
  return state_.prepared.emplace(key, name).first->second;
}

// libpqxx 7 sends the text at once, so the name is noted only when the server accepted it. libpqxx 6 sends it
// when the name is first used.
const std::string& Transaction::NameOf(const char* statement) {
  const auto known = state_.prepared.find(statement);
  was_planned_before_ = known != state_.prepared.end();
  if (was_planned_before_) return known->second;
  const std::string name = state_.NewName();
  state_.connection->prepare(name, statement);
  return state_.prepared.emplace(statement, name).first->second;
}

pqxx::result Transaction::ExecScript(const std::string& statements) {
  was_planned_before_ = false;
  return Guarded([&] { return work_->exec(statements); });
}

std::optional<Refused> Transaction::Attempt(const std::string& statements) {
  was_planned_before_ = false;
  return Guarded([&]() -> std::optional<Refused> {
    work_->exec("SAVEPOINT attempt");
    std::optional<Refused> refused;
    try {
      work_->exec(statements);
    } catch (const pqxx::insufficient_privilege& error) {
      refused.emplace(FirstLine(error.what()), kInsufficientPrivilege);
    } catch (const pqxx::transaction_rollback&) {
      throw;
    } catch (const pqxx::sql_error& error) {
      if (IsPassing(error.sqlstate())) throw;
      refused.emplace(FirstLine(error.what()), error.sqlstate());
    }
    if (refused) work_->exec("ROLLBACK TO SAVEPOINT attempt");
    work_->exec("RELEASE SAVEPOINT attempt");
    return refused;
  });
}

void Transaction::RestoreLimits() {
  Guarded([&] { return work_->exec(Limits()); });
}

bool Transaction::Commit() {
  try {
    const Watchdog::Watch watch(state_.watchdog, state_.connection->sock(),
                                settings_.statement_limit + kForTheAnswer);
    const StandbyWait standby(*state_.connection);
    work_->exec("COMMIT");
    work_.reset();
    return !standby.was_cut_short();
  } catch (const pqxx::failure& error) {
    if (state_.connection->is_open() && SaysThatItDidNotCommit(error)) Translate();
    ThrowInDoubt(error.what());
  }
}

void Transaction::ThrowInDoubt(std::string_view error) {
  const std::string message = state_.connection->is_open()
                                  ? FirstLine(error)
                                  : "the connection to PostgreSQL was lost while it committed";
  DropConnection();
  throw CommitInDoubt(message, "");
}

// Sends ROLLBACK unless the transaction is over. When that fails, the server may have the transaction open
// still, and the connection is dropped.
void Transaction::RollBack() {
  if (!work_) return;
  const Watchdog::Watch watch(state_.watchdog, state_.connection->sock(),
                              settings_.statement_limit + kForTheAnswer);
  bool rolled_back = false;
  try {
    work_->exec("ROLLBACK");
    rolled_back = true;
  } catch (const std::exception&) {
  }
  work_.reset();
  if (!rolled_back) state_.connection.reset();
}

void Transaction::DropConnection() {
  RollBack();
  state_.connection.reset();
}

void Transaction::Translate() {
  try {
    throw;
  } catch (const pqxx::insufficient_privilege& error) {  // libpqxx throws it without its code
    const std::string message = FirstLine(error.what());
    RollBack();
    throw Refused(message, kInsufficientPrivilege);
  } catch (const pqxx::transaction_rollback& error) {
    const std::string message = FirstLine(error.what());
    RollBack();
    throw Unavailable(message, CodeOf(error));
  } catch (const pqxx::sql_error& error) {
    const std::string message = FirstLine(error.what());
    if (state_.direct && IsFeatureNotSupported(error.sqlstate())) {
      // When the plan was made by an earlier transaction, a view that it reads was replaced. On a new
      // connection all plans are new; then this error is the view's own, about a row.
      DropConnection();
      if (was_planned_before_) throw Unavailable(message, error.sqlstate());
      throw Refused(message, error.sqlstate());
    }
    if (!IsPassing(error.sqlstate())) {
      RollBack();
      throw Refused(message, error.sqlstate());
    }
    if (IsOfAPooler(error.sqlstate())) state_.is_pooled = true;
    if (IsOfTheConnection(error.sqlstate())) {
      DropConnection();
    } else {
      RollBack();
    }
    throw Unavailable(message, error.sqlstate());
  } catch (const pqxx::broken_connection&) {
    DropConnection();
    throw Unavailable("the connection to PostgreSQL was lost", "");
  } catch (const pqxx::failure& error) {
    const std::string message = FirstLine(error.what());
    DropConnection();
    throw Unavailable(message, "");
  }
}

}  // namespace postcall::postgres
