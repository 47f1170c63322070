#include "dispatcher/postgres/transaction.h"

#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/subtransaction>
#include <utility>
#include <vector>

#include "dispatcher/postgres/connection.h"
#include "dispatcher/postgres/error_text.h"
#include "dispatcher/postgres/sqlstate.h"
#include "dispatcher/postgres/standby_wait.h"

namespace postcall::postgres {
namespace {

// If the database's default were a stricter isolation level, transactions would make each other fail.
// The level is set twice, because the server refuses to change it in a transaction that has already executed
// a statement. That is the previous one, when its ROLLBACK was cancelled and libpqxx did not report it.
constexpr const char* kReadCommitted =
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION ISOLATION LEVEL READ COMMITTED";

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
                THEN set_config('synchronous_commit', 'on', true) END)sql";

// The statement that sets all of them; the limits are SQL.
std::string SetAll(const char* planner, const std::string& statement_limit, const std::string& lock_limit) {
  return "SELECT set_config('statement_timeout', " + statement_limit +
         ", true), set_config('lock_timeout', " + lock_limit + ", true)," + kSettings +
         (*planner == '\0' ? "" : ",") + planner;
}

// In libpqxx 6 these errors are no sql_error and have no code.
const char* CodeOf(const pqxx::transaction_rollback& error) {
  if (dynamic_cast<const pqxx::deadlock_detected*>(&error) != nullptr) return kDeadlockDetected;
  if (dynamic_cast<const pqxx::serialization_failure*>(&error) != nullptr) return kSerializationFailure;
  return kTransactionRollback;
}

}  // namespace

// Several statements in one message to the server, which is one round trip. A message executes prepared
// statements by their names, and prepares them before if this connection does not know them yet.
class Transaction::Message {
 public:
  explicit Message(Session::State& state) : state_(state) {}

  void Add(const std::string& statement) { text_ += statement + "; "; }

  // `key` is the constant that this connection knows the statement by.
  void Execute(const char* key, const std::string& statement, const std::string& parameters) {
    const auto known = state_.prepared.find(key);
    std::string name;
    if (known != state_.prepared.end()) {
      name = known->second;
    } else {
      name = state_.NewName();
      text_ += "PREPARE " + name + " AS " + statement + "; ";
      prepared_.emplace_back(key, name);
    }
    text_ += "EXECUTE " + name + "(" + parameters + "); ";
  }

  bool is_all_known() const { return prepared_.empty(); }

  // The result of the last statement.
  pqxx::result Send(pqxx::transaction_base& work) {
    pqxx::result result = work.exec(text_);
    state_.prepared.insert(prepared_.begin(), prepared_.end());
    return result;
  }

 private:
  Session::State& state_;
  std::string text_;
  std::vector<std::pair<const char*, std::string>> prepared_;
};

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
  state_.connection = Connect(state_.options, state_.watchdog.limit());
  state_.prepared.clear();
  ++state_.number;
  state_.direct = false;
  Guarded([&] {
    pqxx::nontransaction work(*state_.connection);
    const pqxx::result facts =
        work.exec("SELECT pg_backend_pid(), current_setting('statement_timeout') <> '0'");
    // A pooler gives its clients other process ids than the server's.
    state_.direct = !state_.is_pooled && facts[0][0].as<int>() == state_.connection->backendpid();
    state_.has_statement_limit = facts[0][1].as<bool>();
  });
  Begin();
}

Transaction::~Transaction() { RollBack(); }

void Transaction::Begin() {
  Guarded([&] {
    work_.emplace(*state_.connection);
    Message message(state_);
    message.Add(kReadCommitted);
    AddSettings(message);
    message.Send(*work_);
  });
}

void Transaction::AddSettings(Message& message) const {
  const auto milliseconds = [](std::chrono::milliseconds limit) {
    return "'" + std::to_string(limit.count()) + "'";
  };
  const std::string statement_limit = milliseconds(settings_.statement_limit);
  const std::string lock_limit = milliseconds(settings_.lock_limit);
  if (state_.direct) {
    message.Execute(settings_.planner, SetAll(settings_.planner, "$1", "$2"),
                    statement_limit + ", " + lock_limit);
  } else {
    message.Add(SetAll(settings_.planner, statement_limit, lock_limit));
  }
}

std::optional<pqxx::result> Transaction::ReadInOneMessage(Session& session, const Settings& settings,
                                                          const char* statement,
                                                          std::initializer_list<std::int64_t> parameters) {
  Session::State& state = *session.state_;
  if (!state.connection || !state.direct || state.has_statement_limit) return std::nullopt;
  std::string list;
  for (const std::int64_t parameter : parameters)
    list += (list.empty() ? "" : ", ") + std::to_string(parameter);
  Transaction transaction(session, settings, NotBegun{});
  Message message(state);
  message.Add(kReadCommitted);
  transaction.AddSettings(message);
  message.Execute(statement, statement, list);
  transaction.was_planned_before_ = message.is_all_known();
  try {
    return transaction.Guarded([&] {
      pqxx::nontransaction work(*state.connection);
      return message.Send(work);
    });
  } catch (const Unavailable&) {
    if (state.connection) throw;
    return std::nullopt;  // the connection was lost while idle
  }
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
    try {
      pqxx::subtransaction savepoint(*work_, "attempt");
      savepoint.exec(statements);
      savepoint.commit();
      return std::nullopt;
    } catch (const pqxx::insufficient_privilege& error) {
      return Refused(FirstLine(error.what()), kInsufficientPrivilege);
    } catch (const pqxx::transaction_rollback&) {
      throw;
    } catch (const pqxx::sql_error& error) {
      if (IsPassing(error.sqlstate())) throw;
      return Refused(FirstLine(error.what()), error.sqlstate());
    }
  });
}

void Transaction::LimitStatements(std::chrono::milliseconds limit) {
  Guarded([&] {
    return work_->exec("SET LOCAL lock_timeout = " + std::to_string(settings_.lock_limit.count()) +
                       "; SET LOCAL statement_timeout = " + std::to_string(limit.count()));
  });
}

bool Transaction::Commit() {
  try {
    const Watchdog::Watch watch(state_.watchdog, state_.connection->sock(),
                                settings_.statement_limit + kForTheAnswer);
    const StandbyWait standby(*state_.connection);
    work_->commit();
    work_.reset();
    return !standby.was_cut_short();
  } catch (const pqxx::in_doubt_error&) {
    DropConnection();
    throw CommitInDoubt("the connection to PostgreSQL was lost while it committed", "");
  } catch (const pqxx::transaction_rollback&) {
    Translate();
  } catch (const pqxx::insufficient_privilege&) {  // libpqxx throws it without its code
    Translate();
  } catch (const pqxx::sql_error& error) {
    // An error with a code is the server's own statement that it did not commit. Without a code it is libpq's
    // error about the connection.
    if (!error.sqlstate().empty()) Translate();
    const std::string message = FirstLine(error.what());
    DropConnection();
    throw CommitInDoubt(message, "");
  } catch (const pqxx::failure& error) {
    const std::string message = FirstLine(error.what());
    DropConnection();
    throw CommitInDoubt(message, "");
  }
}

// Sends ROLLBACK unless the transaction is over.
void Transaction::RollBack() {
  if (!work_) return;
  const Watchdog::Watch watch(state_.watchdog, state_.connection->sock(),
                              settings_.statement_limit + kForTheAnswer);
  work_.reset();
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
