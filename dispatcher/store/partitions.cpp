#include "dispatcher/store/partitions.h"

#include "dispatcher/store/transaction.h"

namespace postcall::store {
namespace {

constexpr const char* kMake = "SELECT webhook_make_partitions($1::int)";
constexpr const char* kDropOne = "SELECT webhook_drop_partitions($1::int)";
constexpr const char* kLockNotAvailable = "55P03";

bool DropOne(Session& session, int retention_days) {
  Transaction transaction(session, "", kChoreLimit);
  const bool dropped = transaction.Exec(kDropOne, retention_days)[0][0].as<int>() > 0;
  transaction.Commit();
  return dropped;
}

}  // namespace

int MakePartitions(Session& session, int days) {
  Transaction transaction(session, "", kChoreLimit);
  const int ahead = transaction.Exec(kMake, days)[0][0].as<int>();
  transaction.Commit();
  return ahead;
}

int DropPartitions(Session& session, int retention_days) {
  int dropped = 0;
  try {
    while (DropOne(session, retention_days)) ++dropped;
  } catch (const Unavailable& unavailable) {
    if (unavailable.sqlstate() != kLockNotAvailable) throw;
  }
  return dropped;
}

}  // namespace postcall::store
