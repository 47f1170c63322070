// The daily partitions of the delivery log: made ahead, dropped by retention (CONTRACT §4).
// Blocks; on the thread that owns the session. A short lock_timeout keeps both from making claims wait.
#pragma once

#include "dispatcher/postgres/database.h"

namespace postcall::store {

// Makes the missing partitions of yesterday, today and the next `days`. Returns how many days ahead of today
// have one without a gap, -1 when today's is missing. Throws Unavailable when it did not get a lock in time:
// try again later.
int MakePartitions(postgres::Session& session, int days);

// Drops the partitions that ended `retention_days` ago. Returns how many. A partition that is in use, or
// whose hours are not summed up, is dropped later.
int DropPartitions(postgres::Session& session, int retention_days);

}  // namespace postcall::store
