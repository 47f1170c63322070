// Chores in the database that any dispatcher does for all (CONTRACT §3, §4). Blocks; on the thread that owns
// the session. Throws Unavailable or Refused.
#pragma once

#include "dispatcher/postgres/database.h"

namespace postcall::store {

// Makes calls due whose analysis was committed while they waited. Returns how many.
int ReleaseHinted(postgres::Session& session);
// Makes calls due whose analysis was committed while they were being completed. Returns how many.
int ReleaseAnalysed(postgres::Session& session);

// False when no call waits for its analysis and there is no hint, so that the two above have nothing to do.
bool CallsMayBeReleased(postgres::Session& session);

// Deletes decisions and sums that are older than `ledger_days`, for about two seconds. Returns how many.
int PurgeOld(postgres::Session& session, int ledger_days);

}  // namespace postcall::store
