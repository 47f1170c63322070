#include "dispatcher/store/transaction.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <pqxx/except>
#include <pqxx/version>
#include <string_view>
#include <utility>

namespace postcall::store {
namespace {

// Stricter isolation, were it the database's default, would make claims and records fail for each other.
// Whoever waits for a lock longer than lock_timeout tries again later.
// idle_in_transaction_session_timeout frees the locks of a dispatcher whose machine vanished.
// JIT takes a tenth of a second to compile what runs for milliseconds.
// With synchronous_commit off, a crash of the server forgets claims whose calls were sent already.
// With array_nulls off, the NULLs of a batch would be texts.
constexpr const char* kSettings = R"sql(
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET LOCAL lock_timeout = '3s';
    SET LOCAL idle_in_transaction_session_timeout = '15s';
    SET LOCAL jit = off;
    SET LOCAL array_nulls = on;
    SELECT set_config('synchronous_commit', 'on', true)
     WHERE current_setting('synchronous_commit') = 'off';
)sql";

std::string SettingsOf(const char* settings, std::chrono::seconds limit) {
  return "SET LOCAL statement_timeout = '" + std::to_string(limit.count()) + "s';" + kSettings + settings;
}

// "ERROR:  relation … does not exist\nLINE 1: …": the first line; the others may quote rows.
std::string FirstLine(std::string_view message) {
  constexpr std::array<std::string_view, 3> kPrefixes = {"ERROR:  ", "FATAL:  ", "PANIC:  "};
  message = message.substr(0, message.find('\n'));
  for (const std::string_view prefix : kPrefixes) {
    if (message.starts_with(prefix)) message.remove_prefix(prefix.size());
  }
  return std::string(message);
}

bool StartsWithOneOf(std::string_view sqlstate, std::initializer_list<std::string_view> beginnings) {
  return std::ranges::any_of(beginnings,
                             [&](std::string_view beginning) { return sqlstate.starts_with(beginning); });
}

// A prepared statement of ours is not there, or another's is: a pooler stands between.
bool IsOfAPooler(std::string_view sqlstate) { return sqlstate == "26000" || sqlstate == "42P05"; }

// Another connection is needed, maybe to another server. Empty: libpq's own word.
bool IsOfTheConnection(std::string_view sqlstate) {
  return sqlstate.empty() || IsOfAPooler(sqlstate) ||
         StartsWithOneOf(sqlstate, {
                                       "08",     // connection
                                       "57P",    // shutdown, crash, starting up
                                       "25006",  // read-only: after a failover
                                       "25P03",  // idle in transaction for too long
                                   });
}

// Not the statement's or its data's fault: another time it will do.
bool IsPassing(std::string_view sqlstate) {
  return IsOfTheConnection(sqlstate) || StartsWithOneOf(sqlstate, {
                                                                      "40",     // deadlock, serialization
                                                                      "53",     // out of resources
                                                                      "55P03",  // lock_timeout
                                                                      "57",  // cancelled, statement_timeout
                                                                      "58",  // the system's error
                                                                  });
}

}  // namespace

Transaction::Transaction(Session& session, const char* settings, std::chrono::seconds limit)
    : state_(*session.state_), limit_(limit) {
  if (state_.connection) {
    // Lost while it was idle: nothing is begun yet, so nothing is lost with it.
    try {
      Begin(settings);
      return;
    } catch (const Unavailable&) {
    }
  }
  state_.connection = Connect(state_.options, state_.watchdog.limit());
  state_.prepared.clear();
  ++state_.number;
  Begin(settings);
  // A pooler gives its clients numbers of its own.
  state_.direct =
      !state_.is_pooled && Exec("SELECT pg_backend_pid()")[0][0].as<int>() == state_.connection->backendpid();
}

Transaction::~Transaction() { RollBack(); }

void Transaction::Begin(const char* settings) {
  Guarded([&] {
    work_.emplace(*state_.connection);
    work_->exec(SettingsOf(settings, limit_));
  });
}

// libpqxx sends the text when the name is used first.
const std::string& Transaction::NameOf(const char* statement) {
  std::string& name = state_.prepared[statement];
  was_planned_before_ = !name.empty();
  if (name.empty()) {
    name = "postcall_" + std::to_string(state_.prepared.size());
    state_.connection->prepare(name, statement);
  }
  return name;
}

void Transaction::Commit() {
  try {
    const Watchdog::Watch watch(state_.watchdog, state_.connection->sock(), limit_ + kForTheAnswer);
    work_->commit();
    work_.reset();
  } catch (const pqxx::in_doubt_error&) {
    DropConnection();
    throw CommitInDoubt("the connection to PostgreSQL was lost while it committed", "");
  } catch (const pqxx::sql_error& error) {
    // The server's own word that it did not commit. Without a code it is libpq's, about the connection.
    if (!error.sqlstate().empty()) Translate();
    const std::string message = FirstLine(error.what());
    DropConnection();
    throw CommitInDoubt(message, "");
#if PQXX_VERSION_MAJOR < 7  // has these outside of sql_error
  } catch (const pqxx::transaction_rollback&) {
    Translate();
#endif
  } catch (const pqxx::failure& error) {
    const std::string message = FirstLine(error.what());
    DropConnection();
    throw CommitInDoubt(message, "");
  }
}

// Sends ROLLBACK unless the transaction is over.
void Transaction::RollBack() {
  if (!work_) return;
  const Watchdog::Watch watch(state_.watchdog, state_.connection->sock(), limit_ + kForTheAnswer);
  work_.reset();
}

void Transaction::DropConnection() {
  RollBack();
  state_.connection.reset();
}

void Transaction::Translate() {
  try {
    throw;
  } catch (const pqxx::insufficient_privilege& error) {  // libpqxx 6 gives it without its code
    const std::string message = FirstLine(error.what());
    RollBack();
    throw Refused(message, "42501");
  } catch (const pqxx::sql_error& error) {
    const std::string message = FirstLine(error.what());
    if (state_.direct && error.sqlstate() == "0A000") {
      // Of a plan that was made before: a view that it reads was replaced. On another connection all plans
      // are new, and then it is the view's own word about a row.
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
#if PQXX_VERSION_MAJOR < 7  // has these outside of sql_error and without their code
  } catch (const pqxx::transaction_rollback& error) {
    const std::string message = FirstLine(error.what());
    RollBack();
    throw Unavailable(message, "40000");
#endif
  } catch (const pqxx::failure& error) {
    const std::string message = FirstLine(error.what());
    DropConnection();
    throw Unavailable(message, "");
  }
}

}  // namespace postcall::store
