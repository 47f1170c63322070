// Whether a database is one that this binary can work on (CONTRACT §5, `migrate`; §8, /readyz).
// Blocks; on the thread that owns the session.
#pragma once

#include <optional>
#include <string>

#include "dispatcher/postgres/database.h"

namespace postcall::store {

// Returns one sentence when the database does not fit: its server is too old; it was never migrated; it lacks
// a migration or a function; it demands a newer binary; a view that the dispatcher reads is missing or has
// other columns; or row level security hides calls from the dispatcher. No value when it fits. Throws
// Unavailable or Refused.
std::optional<std::string> FaultOfDatabase(postgres::Session& session);

// Used only in this room. A statement that returns no row when both views fit, otherwise one row with one
// sentence. The views must be in the schema of webhook_outbox, or in the current schema when that table does
// not exist yet.
extern const char* const kFaultOfSourceViews;

// The same for the tables below these views, as deep as views go: a call whose row is hidden would be lost.
extern const char* const kFaultOfRowSecurity;

// The fault of a database whose tables are from before the first release.
extern const char* const kFaultOfUnreleased;

// Returns one sentence when a database with this compatibility number demands a newer binary.
std::optional<std::string> FaultOfCompatibility(int database);

}  // namespace postcall::store
