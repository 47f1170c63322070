// What an operator wants to know of the database in use, to be logged (CONTRACT §5). Blocks; on the thread
// that owns the session.
#pragma once

#include <optional>
#include <string>

#include "dispatcher/postgres/database.h"

namespace postcall::store {

struct DatabaseFacts {
  std::string database;  // "127.0.0.1:5432/voice", of the connection
  std::string server;    // "PostgreSQL 15.18"
  std::string role;
  std::optional<std::string>
      remark;  // one sentence when the server works but is not among the supported ones
};

// Throws Unavailable or Refused.
DatabaseFacts ReadDatabaseFacts(postgres::Session& session);

// "PostgreSQL 15.18" of 150018, which is what server_version_num says.
std::string NameOfServer(int number);

// One sentence when the dispatcher cannot work on a server of that version.
std::optional<std::string> FaultOfServer(int number);

// One sentence when it can work there, but without something that supported servers have.
std::optional<std::string> RemarkOnServer(int number);

}  // namespace postcall::store
