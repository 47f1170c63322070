// One transaction on a session's connection, and the only place where libpqxx's errors become ours.
// On the thread that owns the session.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "dispatcher/postgres/database.h"
#include "dispatcher/postgres/parameters.h"
#include "dispatcher/postgres/watchdog.h"

namespace postcall::postgres {

struct Session::State {
  DatabaseOptions options;
  std::unique_ptr<pqxx::connection> connection;  // null: connect first
  std::uint64_t number = 0;
  bool direct = false;     // the connection leads to the server itself and not to a pooler
  bool is_pooled = false;  // it seemed direct, and then a prepared statement was missing
  // Names on this connection, by the constants that the statements are or contain.
  std::unordered_map<const char*, std::string> prepared;
  int names = 0;  // how many names were given to statements
  // A name is never given twice, even when PREPARE failed.
  std::string NewName() { return "postcall_" + std::to_string(++names); }
  Watchdog watchdog;
};

// The answer to COMMIT was lost, so the transaction may be committed or not. Work that is safe to repeat can
// treat this as any other Unavailable.
class CommitInDoubt : public Unavailable {
 public:
  using Unavailable::Unavailable;
};

// How long the server may take for one statement. The answer may arrive up to kForTheAnswer later.
inline constexpr std::chrono::seconds kStatementLimit{10};
inline constexpr std::chrono::seconds kForTheAnswer{5};

// What a transaction sets besides what all of them set. All settings are local to it, so that PgBouncer in
// transaction mode can lend its server connection to other clients in between.
struct Settings {
  const char* planner = nullptr;  // expressions that set how statements are planned, a constant; or none
  std::chrono::seconds statement_limit = kStatementLimit;
  std::chrono::milliseconds lock_limit{3000};  // 0: as long as a statement may take
};

// Rolled back unless committed.
class Transaction {
 public:
  // Connects if necessary, then begins. Throws Unavailable.
  explicit Transaction(Session& session, const Settings& settings = {});
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // One statement. Throws Unavailable or Refused; the transaction is over then.
  template <class... Parameters>
  pqxx::result Exec(const char* statement, const Parameters&... parameters) {
    was_planned_before_ = false;
    return Guarded([&] { return ExecWith(*work_, statement, parameters...); });
  }

  // The same for statements that are executed often. They are parsed and planned once per connection, because
  // that costs as much as a hundred rows. Through a pooler they are not prepared: its next transaction may
  // run in another server process, and PgBouncer before 1.21 has no prepared statements in transaction mode.
  // `statement` is a constant.
  template <class... Parameters>
  pqxx::result ExecPrepared(const char* statement, const Parameters&... parameters) {
    if (!state_.direct) return Exec(statement, parameters...);
    return Guarded([&] { return ExecPreparedWith(*work_, NameOf(statement), parameters...); });
  }

  // One statement in a transaction of its own and, on a direct connection, in one round trip. It must be safe
  // to repeat: when the connection is lost, it is executed once more on a new one. `statement` is a constant.
  // The server's log may show the parameters when the statement fails. Throws as Exec does.
  template <class... Parameters>
  static pqxx::result ExecAlone(Session& session, const Settings& settings, const char* statement,
                                const Parameters&... parameters) {
    Transaction transaction(session, settings, NotBegun{});
    const auto literals = [&] { return transaction.Literals(parameters...); };
    if (auto result = transaction.ExecInOneMessage(Message::kAlone, statement, literals)) return *result;
    pqxx::result result = transaction.Exec(statement, parameters...);
    transaction.Commit();
    return result;
  }

  // Begins a transaction with this statement. On a direct connection this takes one round trip. When the
  // connection is lost, it begins once more on a new one: nothing was committed. `statement` is a constant;
  // the server's log may show the parameters when it fails. Throws as Exec does.
  template <class... Parameters>
  static std::pair<std::unique_ptr<Transaction>, pqxx::result> BeginWith(Session& session,
                                                                         const Settings& settings,
                                                                         const char* statement,
                                                                         const Parameters&... parameters) {
    std::unique_ptr<Transaction> transaction(new Transaction(session, settings, NotBegun{}));
    const auto literals = [&] { return transaction->Literals(parameters...); };
    auto result = transaction->ExecInOneMessage(Message::kFirst, statement, literals);
    if (!result) result = transaction->Exec(statement, parameters...);
    return {std::move(transaction), *std::move(result)};
  }

  // Executes any number of statements, without parameters. Throws as Exec does.
  pqxx::result ExecScript(const std::string& statements);

  // The same within a savepoint: when the server refuses it, only this is undone, and the transaction
  // continues. Returns the refusal. Throws Unavailable; the transaction is over then.
  std::optional<Refused> Attempt(const std::string& statements);

  const Settings& settings() const { return settings_; }
  // Sets the limits as they were at the beginning, after a statement that changed them. This costs a round
  // trip.
  void RestoreLimits();

  // The last call. False when it is committed here, but the server gave up its wait for a synchronous
  // standby, so that a fail-over may undo it. Throws CommitInDoubt; Unavailable or Refused when it was
  // certainly rolled back.
  bool Commit();

 private:
  // This one neither connects nor begins.
  struct NotBegun {};
  Transaction(Session& session, const Settings& settings, NotBegun);
  void Open();  // a connection
  void Begin();
  // The statement that sets everything, and those that set the limits. The first is the first of a
  // transaction.
  std::string AllSettings();
  std::string Limits() const;
  // A message is a whole transaction or begins one.
  enum class Message { kAlone, kFirst };
  // Connects if necessary. When the connection leads to a pooler, it begins, executes nothing else, and
  // returns nothing.
  std::optional<pqxx::result> ExecInOneMessage(Message message, const char* statement,
                                               const std::function<std::string()>& literals);
  // The list of parameters for EXECUTE, in parentheses. Needs the connection.
  template <class... Parameters>
  std::string Literals(const Parameters&... parameters) {
    std::string list;
    ((list += (list.empty() ? "(" : ", ") + state_.connection->quote(parameters)), ...);
    return list.empty() ? list : list + ")";
  }
  // Executes statements while no transaction is open.
  pqxx::result ExecMessage(const std::string& statements);
  // The name of a prepared statement, for EXECUTE. Prepares it if necessary, while no transaction is open.
  // The constant `key` stands for it.
  std::string NameInSql(const char* key, const std::string& statement);
  // The same for libpqxx, which has names of its own.
  const std::string& NameOf(const char* statement);
  void RollBack();
  void DropConnection();
  [[noreturn]] void ThrowInDoubt(std::string_view error);
  [[noreturn]] void Translate();  // of the exception that is being handled

  template <class Work>
  auto Guarded(Work&& work);

  Session::State& state_;
  const Settings settings_;
  // It has a value while a transaction is open. The transactions of libpqxx need a round trip for BEGIN
  // alone.
  std::optional<pqxx::nontransaction> work_;
  bool was_planned_before_ = false;  // the present statement, by an earlier transaction
};

template <class Work>
auto Transaction::Guarded(Work&& work) {
  try {
    const Watchdog::Watch watch(state_.watchdog, state_.connection->sock(),
                                settings_.statement_limit + kForTheAnswer);
    return work();
  } catch (...) {
    Translate();
  }
}

}  // namespace postcall::postgres
