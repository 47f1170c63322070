// Opens a connection to PostgreSQL that never re-establishes itself. The room's own.
#pragma once

#include <memory>
#include <pqxx/connection>

#include "dispatcher/store/database.h"

namespace postcall::store {

// Blocks for as long as database_url.h says, and not beyond `by`: when that is too soon for libpq's shortest
// limit, nothing is tried. Throws Unavailable.
std::unique_ptr<pqxx::connection> Connect(const DatabaseOptions& options, SteadyTime by = SteadyTime::max());

}  // namespace postcall::store
