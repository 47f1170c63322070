#include "dispatcher/store/upkeep.h"

#include "dispatcher/store/transaction.h"

namespace postcall::store {
namespace {

constexpr const char* kReleaseAnalysed = "SELECT webhook_release_analysed()";
constexpr const char* kPurge = "SELECT webhook_purge(5000)";

int CountOf(Session& session, const char* statement) {
  Transaction transaction(session);
  const int count = transaction.Exec(statement)[0][0].as<int>();
  transaction.Commit();
  return count;
}

}  // namespace

int ReleaseAnalysed(Session& session) { return CountOf(session, kReleaseAnalysed); }

int PurgeOld(Session& session) { return CountOf(session, kPurge); }

}  // namespace postcall::store
