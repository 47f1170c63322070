#include "dispatcher/store/upkeep.h"

#include <chrono>

#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/transaction_settings.h"

namespace postcall::store {
namespace {

constexpr int kMostReleased = 1000;  // by one call of these, as their files say
constexpr const char* kReleaseHinted = "SELECT webhook_release_hinted()";
constexpr const char* kReleaseAnalysed = "SELECT webhook_release_analysed()";
// A call that waits is not due yet. While a snapshot is open elsewhere, the look steps over the dead entries
// of calls whose wait ended early, but not over those of calls whose whole wait is over.
constexpr const char* kMayBeReleased = R"sql(
    SELECT EXISTS (SELECT FROM webhook_analysis_hints)
        OR coalesce((SELECT true
                       FROM webhook_outbox
                      WHERE awaits_analysis AND due_at > statement_timestamp()
                      ORDER BY due_at DESC
                      LIMIT 1), false)
)sql";
constexpr const char* kPurge = "SELECT webhook_purge(5000, $1::int)";

// After this time the other chores run.
constexpr std::chrono::seconds kReleaseFor{1};
constexpr std::chrono::seconds kPurgeFor{2};

// These functions are called again and again, so it does no harm when one is repeated.
template <class... Parameters>
int CountOf(postgres::Session& session, const char* statement, Parameters... parameters) {
  const pqxx::result counted = postgres::Transaction::ExecAlone(session, {}, statement, parameters...);
  return counted[0][0].as<int>();
}

int Release(postgres::Session& session, const char* statement) {
  const SteadyTime end = Steady::now() + kReleaseFor;
  int total = 0;
  while (true) {
    const int released = CountOf(session, statement);
    total += released;
    if (released < kMostReleased || Steady::now() >= end) return total;
  }
}

}  // namespace

int ReleaseHinted(postgres::Session& session) { return Release(session, kReleaseHinted); }
int ReleaseAnalysed(postgres::Session& session) { return Release(session, kReleaseAnalysed); }

bool CallsMayBeReleased(postgres::Session& session) {
  return postgres::Transaction::ExecAlone(session, kLookUps, kMayBeReleased)[0][0].as<bool>();
}

int PurgeOld(postgres::Session& session, int ledger_days) {
  const SteadyTime end = Steady::now() + kPurgeFor;
  int total = 0;
  while (true) {
    const int purged = CountOf(session, kPurge, ledger_days);
    total += purged;
    if (purged == 0 || Steady::now() >= end) return total;
  }
}

}  // namespace postcall::store
