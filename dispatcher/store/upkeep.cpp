#include "dispatcher/store/upkeep.h"

#include "dispatcher/store/transaction.h"

namespace postcall::store {
namespace {

constexpr const char* kReleaseAnalysed = "SELECT webhook_release_analysed()";
constexpr const char* kPurge = "SELECT webhook_purge(5000)";

// So that the other chores have their turn.
constexpr std::chrono::seconds kPurgeFor{2};

int CountOf(Session& session, const char* statement) {
  Transaction transaction(session);
  const int count = transaction.Exec(statement)[0][0].as<int>();
  transaction.Commit();
  return count;
}

}  // namespace

int ReleaseAnalysed(Session& session) { return CountOf(session, kReleaseAnalysed); }

int PurgeOld(Session& session) {
  const SteadyTime end = Steady::now() + kPurgeFor;
  int total = 0;
  while (true) {
    const int purged = CountOf(session, kPurge);
    total += purged;
    if (purged == 0 || Steady::now() >= end) return total;
  }
}

}  // namespace postcall::store
