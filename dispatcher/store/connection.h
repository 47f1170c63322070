// Opens a connection to PostgreSQL that never re-establishes itself. The room's own.
#pragma once

#include <memory>
#include <pqxx/connection>

#include "dispatcher/store/database.h"

namespace postcall::store {

// Blocks for 5 s an address at most, unless the URL says otherwise. Throws Unavailable.
std::unique_ptr<pqxx::connection> Connect(const DatabaseOptions& options);

}  // namespace postcall::store
