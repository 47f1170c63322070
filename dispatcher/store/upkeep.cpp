#include "dispatcher/store/upkeep.h"

#include "dispatcher/store/transaction.h"

namespace postcall::store {
namespace {

constexpr int kMostReleased = 1000;  // at once, by either of these
constexpr const char* kReleaseHinted = "SELECT webhook_release_hinted()";
constexpr const char* kReleaseAnalysed = "SELECT webhook_release_analysed()";
constexpr const char* kPurge = "SELECT webhook_purge(5000)";

// So that the other chores have their turn.
constexpr std::chrono::seconds kReleaseFor{1};
constexpr std::chrono::seconds kPurgeFor{2};

int CountOf(Session& session, const char* statement) {
  Transaction transaction(session);
  const int count = transaction.Exec(statement)[0][0].as<int>();
  transaction.Commit();
  return count;
}

int Release(Session& session, const char* statement) {
  const SteadyTime end = Steady::now() + kReleaseFor;
  int total = 0;
  while (true) {
    const int released = CountOf(session, statement);
    total += released;
    if (released < kMostReleased || Steady::now() >= end) return total;
  }
}

}  // namespace

int ReleaseHinted(Session& session) { return Release(session, kReleaseHinted); }
int ReleaseAnalysed(Session& session) { return Release(session, kReleaseAnalysed); }

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
