// Chores in the database that any dispatcher does for all (CONTRACT §3, §4). Blocks; on the thread that owns
// the session. Throws Unavailable or Refused.
#pragma once

#include "dispatcher/postgres/database.h"

namespace postcall::store {

// Makes calls due whose analysis was committed while they waited. Returns how many.
int ReleaseHinted(postgres::Session& session);
// Makes calls due whose analysis was committed while they were being completed. Also deletes hints that name
// no waiting call. Returns how many became due.
int ReleaseAnalysed(postgres::Session& session);

// Whether some call waits for its analysis.
bool CallsWait(postgres::Session& session);

// Deletes decisions and sums that are older than `ledger_days`, for about two seconds. Returns how many.
int PurgeOld(postgres::Session& session, int ledger_days);

}  // namespace postcall::store
