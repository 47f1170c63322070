// One transaction on a session's connection, and the only place where libpqxx's errors become ours.
// The room's own; on the thread that owns the session.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <pqxx/result>
#include <pqxx/transaction>
#include <string>
#include <unordered_map>

#include "dispatcher/store/connection.h"
#include "dispatcher/store/database.h"
#include "dispatcher/store/watchdog.h"

namespace postcall::store {

struct Session::State {
  DatabaseOptions options;
  std::unique_ptr<pqxx::connection> connection;  // none: connect first
  std::uint64_t number = 0;
  bool direct = false;     // the connection leads to the server itself and not to a pooler
  bool is_pooled = false;  // it looked as if it did, and then a prepared statement was gone
  std::unordered_map<const char*, std::string> prepared;  // the connection's, by the statement's text
  Watchdog watchdog;
};

// The answer to COMMIT was lost: it may have happened. For work that is safe to repeat this is an Unavailable
// like any other.
class CommitInDoubt : public Unavailable {
 public:
  using Unavailable::Unavailable;
};

// How long the server may take for one statement; its answer may take kForTheAnswer longer.
inline constexpr std::chrono::seconds kStatementLimit{10};
inline constexpr std::chrono::seconds kChoreLimit{20};  // no chore holds up its thread for 30 s (CONTRACT §8)
inline constexpr std::chrono::seconds kForTheAnswer{5};

// Rolled back unless committed.
class Transaction {
 public:
  // For statements that look rows up one by one, in tables that fill and empty so fast that statistics are
  // always stale: a plan that reads a whole table "because it is empty" must not be chosen.
  static constexpr const char* kLookUps = R"sql(
      SET LOCAL enable_seqscan = off;
      SET LOCAL enable_hashjoin = off;
      SET LOCAL enable_mergejoin = off;
      SET LOCAL enable_material = off)sql";

  // For statements that join a batch of keys to the log. The rows are found by the moments of their claims
  // and then matched in a hash: a nested loop would look through the whole batch for each row, and the small
  // index of what is in flight, which the planner takes for the cheapest way, leads to all of it for each
  // key.
  static constexpr const char* kByKeys = R"sql(
      SET LOCAL enable_seqscan = off;
      SET LOCAL enable_nestloop = off;
      SET LOCAL enable_mergejoin = off)sql";

  // The same for what was found out about deliveries: a row that somebody else holds is left out soon and
  // comes later, and what can be written is not held up by it.
  static constexpr const char* kByKeysUnheld = R"sql(
      SET LOCAL enable_seqscan = off;
      SET LOCAL enable_nestloop = off;
      SET LOCAL enable_mergejoin = off;
      SET LOCAL lock_timeout = '200ms')sql";

  // Begins, after connecting if need be. All settings are local to the transaction, so that PgBouncer in
  // transaction mode can lend its server connection to others in between.
  // Throws Unavailable.
  explicit Transaction(Session& session, const char* settings = "",
                       std::chrono::seconds limit = kStatementLimit);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // One statement. Throws Unavailable or Refused; the transaction is over then.
  template <class... Parameters>
  pqxx::result Exec(const char* statement, const Parameters&... parameters) {
    was_planned_before_ = false;
    return Guarded([&] { return work_->exec_params(statement, parameters...); });
  }

  // The same for the statements of the deliveries themselves: parsed and planned once a connection, which
  // otherwise costs as much as a hundred rows. Not through a pooler, whose next transaction may come to
  // another server process: PgBouncer before 1.21 has no prepared statements in transaction mode.
  // `statement` is a constant.
  template <class... Parameters>
  pqxx::result ExecPrepared(const char* statement, const Parameters&... parameters) {
    if (!state_.direct) return Exec(statement, parameters...);
    return Guarded([&] { return work_->exec_prepared(NameOf(statement), parameters...); });
  }

  // The last call. Throws CommitInDoubt; Unavailable or Refused when it was certainly rolled back.
  void Commit();

 private:
  void Begin(const char* settings);
  const std::string& NameOf(const char* statement);
  void RollBack();
  void DropConnection();
  [[noreturn]] void Translate();  // the exception at hand

  template <class Work>
  auto Guarded(Work&& work);

  Session::State& state_;
  const std::chrono::seconds limit_;
  std::optional<pqxx::work> work_;
  bool was_planned_before_ = false;  // the statement at hand, in another transaction of the connection
};

template <class Work>
auto Transaction::Guarded(Work&& work) {
  try {
    const Watchdog::Watch watch(state_.watchdog, state_.connection->sock(), limit_ + kForTheAnswer);
    return work();
  } catch (...) {
    Translate();
  }
}

}  // namespace postcall::store
