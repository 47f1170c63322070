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

}  // namespace

Housekeeper::Housekeeper(const store::DatabaseOptions& database, DispatcherId dispatcher, int retention_days,
                         const HeldDeliveries& held, metrics::Metrics& metrics, Pulse& pulse)
    : session_(database),
      dispatcher_(dispatcher),
      retention_days_(retention_days),
      held_(held),
      metrics_(metrics),
      beat_(pulse.Add("housekeeping")),
      observer_(dispatcher) {
  // Partitions first: without today's, nothing can be claimed.
  chores_ = {
      {"keep partitions", Operation::kPartitions, minutes(10), [this] { KeepPartitions(); }},
      {"make calls due whose analysis is written", Operation::kSweep, milliseconds(250),
       [this] { store::ReleaseHinted(session_); }},
      {"make calls due whose analysis came", Operation::kSweep, seconds(1),
       [this] { store::ReleaseAnalysed(session_); }},
      {"watch the other dispatchers", Operation::kSweep, seconds(5), [this] { WatchOthers(); }},
      {"sweep what nobody holds", Operation::kSweep, seconds(5), [this] { Sweep(); }},
      {"sample the outbox", Operation::kSample, seconds(15), [this] { SampleOutbox(); }},
      {"sample the reconciliation", Operation::kSample, minutes(1),
       [this] { metrics_.unaccounted.Set(static_cast<double>(store::SampleUnaccounted(session_))); }},
      {"close hours", Operation::kPartitions, minutes(10), [this] { store::CloseHours(session_); }},
      {"forget what is too old", Operation::kPartitions, minutes(5), [this] { store::PurgeOld(session_); }},
  };
}

Housekeeper::~Housekeeper() { Stop(); }

void Housekeeper::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Housekeeper::Stop() {
  session_.LimitBy(Steady::now());
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void Housekeeper::Run() {
  while (true) {
    SteadyTime next = SteadyTime::max();
    for (Chore& chore : chores_) {
      {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
      }
      beat_.Turned(Steady::now());
      if (Steady::now() >= chore.next) RunChore(chore);
      next = std::min(next, chore.next);
    }
    std::unique_lock lock(mutex_);
    wake_.wait_until(lock, next, [this] { return stopping_; });
  }
}

void Housekeeper::RunChore(Chore& chore) {
  try {
    chore.run();
    chore.next = Steady::now() + chore.every;
    chore.said.clear();
  } catch (const std::exception& error) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    metrics_.database_errors(chore.operation).Increment();
    // Said once for each reason, not every second of an outage.
    if (std::exchange(chore.said, error.what()) != error.what()) {
      log::Warning("a chore failed and is tried again", {{"chore", chore.name}, {"error", error.what()}});
    }
    chore.next = Steady::now() + std::min(chore.every, kRetryAfter);
  }
}

void Housekeeper::WatchOthers() {
  for (const store::Gone& gone : observer_.Look(session_)) {
    log::Warning("a dispatcher is gone, its deliveries in flight became unknown",
                 {{"instance", gone.instance}, {"unknown", gone.unknown.size()}});
    CountUnknown(gone.unknown);
  }
}

void Housekeeper::Sweep() {
  const std::vector<store::Swept> orphans = store::SweepOrphans(session_);
  if (!orphans.empty()) {
    log::Warning("deliveries in flight without a living dispatcher became unknown",
                 {{"unknown", orphans.size()}});
  }
  CountUnknown(orphans);
  const std::vector<store::Swept> own = store::SweepOwn(session_, dispatcher_, held_.All());
  for (const store::Swept& row : own) {
    log::Error("a delivery in flight under this dispatcher is not held by it and became unknown",
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

void Housekeeper::CountUnknown(const std::vector<store::Swept>& rows) {
  for (const store::Swept& row : rows) metrics_.deliveries(Outcome::kUnknown, row.cause).Increment();
}

}  // namespace postcall::dispatch
