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

// A row that somebody holds is tried again after so long; each try may wait 200 ms for its lock.
constexpr auto kHeldAgainAfter = std::chrono::seconds(2);

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

// What is known of a delivery that could not be given back.
store::Finished NotSent(const store::Returned& returned) {
  store::Finished entry;
  entry.key = returned.key;
  entry.cause = returned.cause;
  entry.finished_at = returned.key.claimed_at;
  entry.result.outcome = Outcome::kNotSent;
  entry.result.reached = Reached::kNothing;
  entry.result.error = "Nothing was sent: this machine ran out of a resource, and the database was away.";
  return entry;
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
  return Unrecorded();
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
  QueueHeld();
  std::move(finished_.begin(), finished_.end(), std::back_inserter(left));
  std::move(returned_.begin(), returned_.end(), std::back_inserter(returned_batch_));
  for (const store::Returned& returned : returned_batch_) left.push_back(NotSent(returned));
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
        const bool is_over = stopping_ && held_finished_.empty() && held_returned_.empty();
        return is_over || !finished_.empty() || !returned_.empty() || in_batches_ > 0;
      };
      const auto turn = drains ? kTurnWhileDraining : kTurnAtLeast;
      wake_.wait_until(lock, std::min({Steady::now() + turn, held_again_at_, deadline_}),
                       [&] { return has_work() || draining_ != drains; });
      drains = draining_;
      beat_.Turned(Steady::now());
      if (Steady::now() >= held_again_at_) QueueHeld();
      if (!has_work()) {
        if (Steady::now() >= deadline_) return;
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
      Done(finished_batch_, recorded.held, held_finished_);
    }
    operation = metrics::Operation::kGiveBack;
    if (!returned_batch_.empty()) {
      const store::GivenBack given_back = store::GiveBack(session_, returned_batch_);
      RecordNotBack(given_back.not_back);
      Done(returned_batch_, given_back.held, held_returned_);
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
  NoteHeld();
  CountUnrecorded();
  return true;
}

// Meanwhile they became `unknown`, and it is known that nothing was sent. What did go back, by a commit whose
// answer was lost, has no such row any more.
void Recorder::RecordNotBack(const std::vector<DeliveryId>& not_back) {
  std::vector<store::Finished> not_sent;
  for (const store::Returned& returned : returned_batch_) {
    if (std::ranges::find(not_back, returned.key.id) != not_back.end()) not_sent.push_back(NotSent(returned));
  }
  if (not_sent.empty()) return;
  const store::Recorded recorded = store::Record(session_, not_sent);
  metrics_.unknown_resolved.Increment(recorded.unknown_resolved);
  for (const store::Finished& finished : not_sent) {
    if (std::ranges::find(recorded.lost, finished.key.id) == recorded.lost.end())
      metrics_.deliveries(Outcome::kNotSent, finished.cause).Increment();
  }
}

// The batch is written, but for those whose rows somebody holds.
template <class T>
void Recorder::Done(std::vector<T>& batch, const std::unordered_set<DeliveryId>& held,
                    std::vector<T>& aside) {
  const auto first = std::stable_partition(batch.begin(), batch.end(),
                                           [&](const T& entry) { return !held.contains(entry.key.id); });
  {
    const std::lock_guard lock(mutex_);
    std::move(first, batch.end(), std::back_inserter(aside));
  }
  batch.erase(first, batch.end());
  held_.Remove(Ids(batch));
  batch.clear();
}

void Recorder::NoteHeld() {
  const std::size_t held = held_finished_.size() + held_returned_.size();
  if (held > 0) {
    held_again_at_ = std::min(held_again_at_, Steady::now() + kHeldAgainAfter);
    if (!std::exchange(said_held_, true)) {
      log::Warning("outcomes wait, another transaction holds their rows of the log", {{"waiting", held}});
    }
  } else if (Unrecorded() == 0) {
    said_held_ = false;
  }
}

void Recorder::QueueHeld() {
  std::move(held_finished_.begin(), held_finished_.end(), std::back_inserter(finished_));
  std::move(held_returned_.begin(), held_returned_.end(), std::back_inserter(returned_));
  held_finished_.clear();
  held_returned_.clear();
  held_again_at_ = SteadyTime::max();
}

std::size_t Recorder::Unrecorded() const {
  return finished_.size() + returned_.size() + held_finished_.size() + held_returned_.size() + in_batches_;
}

void Recorder::CountUnrecorded() { metrics_.outcomes_unrecorded.Set(static_cast<double>(Unrecorded())); }

}  // namespace postcall::dispatch
