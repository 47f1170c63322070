#include "dispatcher/dispatch/recorder.h"

#include <algorithm>
#include <utility>

#include "common/log.h"

namespace postcall::dispatch {
namespace {

// A batch is one statement; larger ones save little and make a refused row dearer to find.
constexpr std::size_t kMaxBatch = 500;

// The first outcome waits this long for company: under load a batch costs a row a fraction of what one alone
// would, and an outcome is in the log a moment later.
constexpr auto kGather = std::chrono::milliseconds(10);

constexpr auto kRetryAfter = std::chrono::milliseconds(500);
constexpr auto kTurnAtLeast = std::chrono::seconds(5);
constexpr auto kTurnWhileDraining = std::chrono::seconds(1);

template <class T>
void TakeUpTo(std::size_t count, std::deque<T>& from, std::vector<T>& to) {
  while (to.size() < count && !from.empty()) {
    to.push_back(std::move(from.front()));
    from.pop_front();
  }
}

template <class T>
std::vector<DeliveryId> Ids(const std::vector<T>& batch) {
  std::vector<DeliveryId> ids;
  ids.reserve(batch.size());
  for (const T& entry : batch) ids.push_back(entry.key.id);
  return ids;
}

}  // namespace

Recorder::Recorder(const store::DatabaseOptions& database, HeldDeliveries& held, metrics::Metrics& metrics,
                   Pulse& pulse)
    : session_(database), held_(held), metrics_(metrics), beat_(pulse.Add("record")), thread_([this] {
        Run();
      }) {}

Recorder::~Recorder() { Stop(Steady::now()); }

void Recorder::Drain(SteadyTime deadline) {
  session_.LimitBy(deadline);
  const std::lock_guard lock(mutex_);
  draining_ = true;
  wake_.notify_one();
}

void Recorder::Finish(store::Finished finished) {
  const std::lock_guard lock(mutex_);
  finished_.push_back(std::move(finished));
  CountUnrecorded();
  wake_.notify_one();
}

void Recorder::GiveBack(const store::Returned& returned) {
  const std::lock_guard lock(mutex_);
  returned_.push_back(returned);
  CountUnrecorded();
  wake_.notify_one();
}

std::size_t Recorder::unrecorded() const {
  const std::lock_guard lock(mutex_);
  return finished_.size() + returned_.size() + in_batches_;
}

std::vector<store::Finished> Recorder::Stop(SteadyTime deadline) {
  session_.LimitBy(deadline);
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    deadline_ = std::min(deadline_, deadline);
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();

  std::vector<store::Finished> left = std::move(finished_batch_);
  std::move(finished_.begin(), finished_.end(), std::back_inserter(left));
  std::move(returned_.begin(), returned_.end(), std::back_inserter(returned_batch_));
  for (const store::Returned& returned : returned_batch_) {
    store::Finished& entry = left.emplace_back();
    entry.key = returned.key;
    entry.finished_at = returned.key.claimed_at;
    entry.result.outcome = Outcome::kNotSent;
    entry.result.reached = Reached::kNothing;
    entry.result.error = "Nothing was sent: this machine ran out of a resource, and the database was away.";
  }
  finished_.clear();
  finished_batch_.clear();
  returned_.clear();
  returned_batch_.clear();
  return left;
}

void Recorder::Run() {
  bool drains = false;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      const auto has_work = [this] {
        return stopping_ || !finished_.empty() || !returned_.empty() || in_batches_ > 0;
      };
      wake_.wait_for(lock, drains ? kTurnWhileDraining : kTurnAtLeast,
                     [&] { return has_work() || draining_ != drains; });
      drains = draining_;
      beat_.Turned(Steady::now());
      if (!has_work()) {
        lock.unlock();
        if (drains) KeepConnected();
        continue;
      }
      if (finished_.size() < kMaxBatch && !stopping_) {
        wake_.wait_for(lock, kGather, [this] { return stopping_ || finished_.size() >= kMaxBatch; });
      }
      TakeUpTo(kMaxBatch, finished_, finished_batch_);
      TakeUpTo(kMaxBatch, returned_, returned_batch_);
      in_batches_ = finished_batch_.size() + returned_batch_.size();
      if (in_batches_ == 0 && stopping_) return;
    }
    if (WriteBatch()) continue;
    std::unique_lock lock(mutex_);
    if (Steady::now() >= deadline_) return;
    wake_.wait_until(lock, std::min(Steady::now() + kRetryAfter, deadline_),
                     [this] { return Steady::now() >= deadline_; });
    if (Steady::now() >= deadline_) return;
  }
}

// An outcome that comes shortly before the stop's end finds a connection, or the reason why there is none is
// told then.
void Recorder::KeepConnected() {
  try {
    session_.KeepConnected();
  } catch (const std::exception& error) {
    log::Debug("no connection for the outcomes to come, it is tried again", {{"error", error.what()}});
  }
}

// True when the batches are in the log; otherwise they stay, to be written again: both writes are fenced, so
// doing one a second time changes nothing.
bool Recorder::WriteBatch() {
  metrics::Operation operation = metrics::Operation::kRecord;
  try {
    if (!finished_batch_.empty()) {
      const SteadyTime start = Steady::now();
      const store::Recorded recorded = store::Record(session_, finished_batch_);
      metrics_.record_duration.Observe(Seconds(Steady::now() - start));
      metrics_.record_batch_size.Observe(static_cast<double>(finished_batch_.size()));
      metrics_.unknown_resolved.Increment(recorded.unknown_resolved);
      for (const DeliveryId& id : recorded.lost) {
        log::Debug("a finished delivery has no open row: recorded already, or dropped",
                   {{"delivery", id.get()}});
      }
      for (const DeliveryId& id : recorded.text_replaced) {
        log::Warning("the database refused the text of an outcome, stored without it",
                     {{"delivery", id.get()}});
      }
      for (const DeliveryId& id : recorded.refused) {
        log::Error("the database refused an outcome, its row will become unknown", {{"delivery", id.get()}});
      }
      held_.Remove(Ids(finished_batch_));
      finished_batch_.clear();
    }
    operation = metrics::Operation::kGiveBack;
    if (!returned_batch_.empty()) {
      store::GiveBack(session_, returned_batch_);
      held_.Remove(Ids(returned_batch_));
      returned_batch_.clear();
    }
  } catch (const std::exception& error) {
    metrics_.database_errors(operation).Increment();
    // Said once for each reason, not at each try.
    if (std::exchange(said_, error.what()) != error.what()) {
      log::Warning(
          "outcomes wait, the database did not take them",
          {{"operation", metrics::ToString(operation)}, {"waiting", unrecorded()}, {"error", error.what()}});
    }
    return false;
  }
  if (!std::exchange(said_, "").empty()) log::Info("the database takes outcomes again");
  const std::lock_guard lock(mutex_);
  in_batches_ = 0;
  CountUnrecorded();
  return true;
}

void Recorder::CountUnrecorded() {
  metrics_.outcomes_unrecorded.Set(static_cast<double>(finished_.size() + returned_.size() + in_batches_));
}

}  // namespace postcall::dispatch
