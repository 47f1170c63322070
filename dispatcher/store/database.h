// The way to PostgreSQL: where it is, what can go wrong, and one thread's connection to it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/clock.h"

namespace postcall::store {

struct DatabaseOptions {
  std::string url;  // postgresql://… or key=value words; empty: libpq's own variables and defaults
  std::string application_name;  // shown in pg_stat_activity unless the URL or PGAPPNAME names another
};

// One sentence when `url` cannot be used. Quotes nothing of it: a password that is not percent-encoded is
// taken for a host, a port or a database, and libpq's own messages print those.
std::optional<std::string> FaultOfDatabaseUrl(const std::string& url);

// Every function of this room may throw these two. No message holds a password.
class DatabaseError : public std::runtime_error {
 public:
  DatabaseError(const std::string& message, std::string sqlstate)
      : std::runtime_error(message), sqlstate_(std::move(sqlstate)) {}
  // Five characters, or empty when the server did not say.
  const std::string& sqlstate() const { return sqlstate_; }

 private:
  std::string sqlstate_;
};

// The database cannot do it now: connection lost or refused, a limit of time passed, shut down, read-only
// after a failover, out of resources. The same call may work later.
class Unavailable : public DatabaseError {
 public:
  using DatabaseError::DatabaseError;
};

// The server understood and refused: the data, a missing table or right. Again would be refused again.
class Refused : public DatabaseError {
 public:
  using DatabaseError::DatabaseError;
};

// One connection, used by one thread (any thread may destroy it). Connects when it is first needed, and anew
// after an error of the connection: one that failed is thrown away and never used again, and none is ever
// re-established behind our back, where a transaction would silently go on without its beginning.
class Session {
 public:
  explicit Session(DatabaseOptions options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The dispatcher stops: from now on no use of this session lasts beyond `deadline`, and what would have to
  // connect so shortly before that libpq has no limit for it is Unavailable at once. Any thread.
  void LimitBy(SteadyTime deadline);

  // Connects unless the connection there is still serves, so that a use soon after need not. Throws
  // Unavailable.
  void KeepConnected();

  // True when there is a connection that was not lost at its last use.
  bool connected() const;

  // The number of the connection in use, counted from 1; another one than before tells that it was lost
  // between.
  std::uint64_t connection_number() const;

 private:
  friend class Transaction;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postcall::store
