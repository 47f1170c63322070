// Opens a connection to PostgreSQL that never re-establishes itself. Used only in this room.
#pragma once

#include <memory>
#include <pqxx/connection>

#include "dispatcher/postgres/database.h"

namespace postcall::postgres {

// Blocks for as long as database_url.h says, but not beyond `by`. When `by` is too soon for libpq's shortest
// limit, it does not try to connect. Throws Unavailable.
std::unique_ptr<pqxx::connection> Connect(const DatabaseOptions& options, SteadyTime by = SteadyTime::max());

}  // namespace postcall::postgres
