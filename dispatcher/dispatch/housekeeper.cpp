#include "dispatcher/dispatch/housekeeper.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "common/log.h"
#include "dispatcher/store/partitions.h"
#include "dispatcher/store/reports.h"
#include "dispatcher/store/upkeep.h"

namespace postcall::dispatch {
namespace {

using metrics::Operation;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kPartitionsAhead = 7;  // days (CONTRACT §4)
constexpr Steady::duration kRetryAfter = seconds(15);

// How often to look while the other sessions have no connection.
constexpr Steady::duration kLookAgain = milliseconds(250);
// They may be connecting for this long. After that, this session disconnects, so that they find a free
// connection on the server.
constexpr Steady::duration kGiveWayAfter = seconds(1);
// Within this time the other sessions notice that the database is away.
constexpr Steady::duration kOthersNotice = seconds(5);

}  // namespace

Housekeeper::Housekeeper(const postgres::DatabaseOptions& database, DispatcherId dispatcher,
                         int retention_days, int ledger_days, const HeldDeliveries& held,
                         std::function<bool()> others_connected, metrics::Metrics& metrics,
                         Progress& progress, Clock clock)
    : session_(database),
      dispatcher_(dispatcher),
      retention_days_(retention_days),
      ledger_days_(ledger_days),
      clock_(std::move(clock)),
      held_(held),
      others_connected_(std::move(others_connected)),
      metrics_(metrics),
      observer_(dispatcher, clock_),
      worker_(progress, "housekeeping") {
  // Partitions first: without today's, nothing can be claimed.
  chores_ = {
      {"keep partitions", Operation::kPartitions, minutes(10), [this] { KeepPartitions(); }},
      {"make calls due whose analysis is written", Operation::kSweep, milliseconds(250),
       [this] {
         if (may_release_) store::ReleaseHinted(session_);
       }},
      {"make calls due whose analysis came", Operation::kSweep, seconds(1),
       [this] {
         may_release_ = store::CallsMayBeReleased(session_);
         if (may_release_) store::ReleaseAnalysed(session_);
       }},
      {"watch the other dispatchers", Operation::kSweep, seconds(5), [this] { WatchOthers(); }},
      {"sweep rows that no dispatcher holds", Operation::kSweep, seconds(5), [this] { Sweep(); }},
      {"forget claims that are over", Operation::kSweep, seconds(5),
       [this] {
         if (store::ClaimsAreOpen(session_)) store::ForgetClaims(session_, dispatcher_);
       }},
      {"sample the outbox", Operation::kSample, seconds(15), [this] { SampleOutbox(); }},
      {"sample recent decisions", Operation::kSample, seconds(15), [this] { SampleRecent(); }},
      {"sample the reconciliation", Operation::kSample, minutes(1),
       [this] { metrics_.unaccounted.Set(static_cast<double>(store::SampleUnaccounted(session_))); }},
      {"close hours", Operation::kPartitions, minutes(10), [this] { store::CloseHours(session_); }},
      {"delete what is too old", Operation::kPartitions, minutes(5),
       [this] { store::PurgeOld(session_, ledger_days_); }},
  };
}

Housekeeper::~Housekeeper() { Stop(); }

void Housekeeper::Start() {
  worker_.Start([this] { Run(); });
}

void Housekeeper::Stop() {
  worker_.RequestStop();
  session_.LimitBy(Steady::now());
  worker_.Stop();
  session_.Disconnect();
}

void Housekeeper::Run() {
  while (!worker_.stopping()) worker_.WaitUntil(RunDue());
}

SteadyTime Housekeeper::RunDue() {
  worker_.NoteProgress();
  if (!MayConnect()) return clock_() + kLookAgain;
  SteadyTime next = SteadyTime::max();
  for (Chore& chore : chores_) {
    if (worker_.stopping()) break;
    worker_.NoteProgress();
    if (clock_() >= chore.next) RunChore(chore);
    next = std::min(next, chore.next);
  }
  return next;
}

void Housekeeper::RunChore(Chore& chore) {
  try {
    chore.run();
    chore.next = clock_() + chore.every;
    chore.said.clear();
    chore.lost.reset();
    // A chore that asked the database nothing does not show that it is there.
    if (session_.connected()) alone_since_ = SteadyTime::max();
  } catch (const std::exception& error) {
    if (worker_.stopping()) return;
    metrics_.database_errors(chore.operation).Increment();
    // Logged once per reason. When the database is away, the claims log one line for all.
    if (IsAway(chore, error)) {
      log::Debug("a chore waits for the database", {{"chore", chore.name}, {"error", error.what()}});
    } else if (std::exchange(chore.said, error.what()) != error.what()) {
      log::Warning("a chore failed and is tried again", {{"chore", chore.name}, {"error", error.what()}});
    }
    chore.next = clock_() + std::min(chore.every, kRetryAfter);
  }
}

// The server may have few connections left: claims and records come first.
bool Housekeeper::MayConnect() {
  if (others_connected_()) {
    others_lost_at_ = SteadyTime::max();
    return true;
  }
  alone_since_ = SteadyTime::max();
  others_lost_at_ = std::min(others_lost_at_, clock_());
  if (clock_() - others_lost_at_ >= kGiveWayAfter) session_.Disconnect();
  return !session_.MayBeLost();
}

// True when the database is at fault, and not the chore. A chore that loses two connections in a row has a
// fault of its own, and so has this session when the others stay connected.
bool Housekeeper::IsAway(Chore& chore, const std::exception& error) {
  if (session_.connected() || dynamic_cast<const postgres::Unavailable*>(&error) == nullptr) return false;
  const SteadyTime now = clock_();
  alone_since_ = std::min(alone_since_, now);
  if (now - alone_since_ >= kOthersNotice) return false;
  const std::uint64_t lost = session_.connection_number();
  return std::exchange(chore.lost, lost).value_or(lost) == lost;
}

void Housekeeper::WatchOthers() {
  for (const store::DeadDispatcher& dead : observer_.Look(session_)) {
    log::Warning("a dispatcher is dead, its deliveries in flight became unknown",
                 {{"instance", dead.instance}, {"unknown", dead.unknown.size()}});
    CountUnknown(dead.unknown);
  }
}

// Most of the cost of a sweep is its plan, which is made each time. Without an open claim there is nothing to
// sweep.
void Housekeeper::Sweep() {
  if (!store::ClaimsAreOpen(session_)) return;
  const std::vector<store::Swept> orphans = store::SweepOrphans(session_);
  if (!orphans.empty()) {
    log::Warning("deliveries in flight without a living dispatcher became unknown",
                 {{"unknown", orphans.size()}});
  }
  CountUnknown(orphans);
  const std::vector<store::Swept> own = store::SweepOwn(session_, dispatcher_, held_.All());
  for (const store::Swept& row : own) {
    log::Error("this dispatcher lost track of a delivery in flight, the delivery became unknown",
               {{"delivery", row.id.get()}});
  }
  CountUnknown(own);
}

void Housekeeper::KeepPartitions() {
  const int ahead = store::MakePartitions(session_, kPartitionsAhead);
  metrics_.partitions_ahead_days.Set(ahead);
  if (ahead < kPartitionsAhead) {
    throw std::runtime_error("partitions for " + std::to_string(ahead) + " of " +
                             std::to_string(kPartitionsAhead) +
                             " days ahead exist; the others could not be made without making claims wait");
  }
  if (const int dropped = store::DropPartitions(session_, retention_days_); dropped > 0) {
    log::Info("dropped old partitions of the delivery log", {{"partitions", dropped}});
  }
}

void Housekeeper::SampleOutbox() {
  const store::OutboxSample sample = store::SampleOutbox(session_);
  metrics_.outbox_depth.Set(static_cast<double>(sample.depth));
  metrics_.outbox_oldest_age.Set(sample.oldest_age_s);
}

void Housekeeper::SampleRecent() {
  const store::RecentSample sample = store::SampleRecent(session_);
  metrics_.enqueued_recent.Set(static_cast<double>(sample.enqueued));
  for (std::size_t i = 0; i < kDeclineReasons.size(); ++i) {
    metrics_.declined_recent(kDeclineReasons[i]).Set(static_cast<double>(sample.declined[i]));
  }
}

void Housekeeper::CountUnknown(const std::vector<store::Swept>& rows) {
  for (const store::Swept& row : rows) metrics_.deliveries(Outcome::kUnknown, row.cause).Increment();
}

}  // namespace postcall::dispatch
