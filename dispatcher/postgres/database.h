// A session with PostgreSQL: the options, the errors, and the connection of one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/clock.h"

namespace postcall::postgres {

struct DatabaseOptions {
  std::string url;  // postgresql://… or key=value words; empty: libpq's own variables and defaults
  std::string application_name;  // shown in pg_stat_activity unless the URL or PGAPPNAME names another
};

// Every function that uses a session may throw the two classes below. No message contains a password.
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

// The server refused the statement, because of its data, a missing table or a missing right. It would refuse
// it again.
class Refused : public DatabaseError {
 public:
  using DatabaseError::DatabaseError;
};

// One connection, used by one thread (any thread may destroy it). It connects at the first use, and again
// after a connection failed. A failed connection is never used again or silently re-established, because a
// transaction would then continue without its beginning.
class Session {
 public:
  explicit Session(DatabaseOptions options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Called when the program stops: from now on no use of this session lasts beyond `deadline`. A use that
  // must connect throws Unavailable at once when less time is left than libpq's shortest limit. Any thread.
  void LimitBy(SteadyTime deadline);

  // Connects unless the present connection still works, so that the next use need not connect. Throws
  // Unavailable.
  void KeepConnected();

  // True when there is a connection that was not lost at its last use.
  bool connected() const;

  // True when there is no connection, or when the server has sent something since the last use; usually this
  // is the end of the connection. It only looks at the socket, and sends nothing to the server.
  bool MayBeLost() const;

  // Closes the connection, so that the server can admit another session instead.
  void Disconnect();

  // Where the connection leads, or would lead: "127.0.0.1:5432/voice", without user name and password.
  std::string place() const;

  // The number of the connection in use, counted from 1. When it has changed, the connection was lost in
  // between.
  std::uint64_t connection_number() const;

 private:
  friend class Transaction;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace postcall::postgres
