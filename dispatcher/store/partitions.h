// The daily partitions of the delivery log: made ahead, dropped by retention (CONTRACT §4).
// Blocks; on the thread that owns the session. Never makes claims wait: gives up at a short lock_timeout.
#pragma once

#include "dispatcher/postgres/database.h"

namespace postcall::store {

// Makes what is missing of yesterday, today and the next `days`. Returns how many days ahead of today exist
// without a gap, -1 when today's is missing. Throws Unavailable when a lock could not be had in time: try
// again later.
int MakePartitions(postgres::Session& session, int days);

// Drops what ended `retention_days` ago. Returns how many. Those that are in use, or whose hours are not
// summed up, stay for the next time.
int DropPartitions(postgres::Session& session, int retention_days);

}  // namespace postcall::store
