#include "dispatcher/store/partitions.h"

#include "dispatcher/postgres/sqlstate.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/transaction_settings.h"

namespace postcall::store {
namespace {

constexpr const char* kMake = "SELECT webhook_make_partitions($1::int)";
constexpr const char* kDropOne = "SELECT webhook_drop_partitions($1::int)";

bool DropOne(postgres::Session& session, int retention_days) {
  postgres::Transaction transaction(session, kChore);
  const bool dropped = transaction.Exec(kDropOne, retention_days)[0][0].as<int>() > 0;
  transaction.Commit();
  return dropped;
}

}  // namespace

int MakePartitions(postgres::Session& session, int days) {
  postgres::Transaction transaction(session, kChore);
  const int ahead = transaction.Exec(kMake, days)[0][0].as<int>();
  transaction.Commit();
  return ahead;
}

int DropPartitions(postgres::Session& session, int retention_days) {
  int dropped = 0;
  try {
    while (DropOne(session, retention_days)) ++dropped;
  } catch (const postgres::Unavailable& unavailable) {
    if (!postgres::IsLockNotAvailable(unavailable.sqlstate())) throw;
  }
  return dropped;
}

}  // namespace postcall::store
