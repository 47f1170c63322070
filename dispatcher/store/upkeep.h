// Chores in the database that any dispatcher does for all (CONTRACT §3, §4). Blocks; on the thread that owns
// the session. Throws Unavailable or Refused.
#pragma once

#include "dispatcher/store/database.h"

namespace postcall::store {

// Makes calls due whose analysis was committed while they waited. Returns how many.
int ReleaseHinted(Session& session);
// Makes calls due whose analysis was committed while they were being completed. Returns how many.
int ReleaseAnalysed(Session& session);

// Deletes decisions and sums that are older than 400 days, for about two seconds. Returns how many.
int PurgeOld(Session& session);

}  // namespace postcall::store
