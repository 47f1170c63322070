// Whether a database is one that this binary can work on (CONTRACT §5, `migrate`; §8, /readyz).
// Blocks; on the thread that owns the session.
#pragma once

#include <optional>
#include <string>

#include "dispatcher/postgres/database.h"

namespace postcall::store {

// One sentence when the database does not fit: its server is too old, it was never migrated, lacks a
// migration or a function, demands a newer binary, a view that the dispatcher reads is missing or has other
// columns, or row level security hides calls from it. None when it fits. Throws Unavailable or Refused.
std::optional<std::string> FaultOfDatabase(postgres::Session& session);

// The room's own. One statement; no row when both views fit, otherwise one row with one sentence. The schema
// that must hold them is the one of webhook_outbox, or the current one where that is not made yet.
extern const char* const kFaultOfSourceViews;

// The same for the tables below these views, as deep as views go: a call whose row is hidden would be lost.
extern const char* const kFaultOfRowSecurity;

// The fault of a database whose tables are of before the first release.
extern const char* const kFaultOfUnreleased;

// None unless a database with this compatibility number demands a newer binary.
std::optional<std::string> FaultOfCompatibility(int database);

}  // namespace postcall::store
