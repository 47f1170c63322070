#include "dispatcher/dispatch/recorder.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/log.h"
#include "dispatcher/store/liveness.h"

namespace postcall::dispatch {
namespace {

// A batch is one statement. Larger ones save little, and finding a refused row costs more.
constexpr std::size_t kMaxBatch = 500;

// The first outcome of a batch waits this long for others. In a batch a row costs a fraction of what it costs
// alone.
constexpr auto kGather = std::chrono::milliseconds(10);

constexpr auto kRetryAfter = std::chrono::milliseconds(500);

// How often an idle connection is checked.
constexpr auto kLookEvery = std::chrono::seconds(1);

// A row that another transaction has locked is tried again after this; each try may wait 200 ms for its lock.
constexpr auto kRetryLockedAfter = std::chrono::seconds(2);

// The outcome of a delivery that could not be requeued.
store::Finished NotSent(const store::ToRequeue& row) {
  store::Finished entry;
  entry.key = row.key;
  entry.cause = row.cause;
  entry.finished_at = row.over_at;
  entry.result.outcome = Outcome::kNotSent;
  entry.result.reached = Reached::kNothing;
  entry.result.error = "Nothing was sent, and it is not known whether the call was requeued.";
  return entry;
}

}  // namespace

template <class Row>
void Recorder::Batch<Row>::TakeUpTo(std::size_t count, std::deque<Waiting<Row>>& from) {
  while (rows.size() < count && !from.empty()) {
    rows.push_back(std::move(from.front().row));
    tokens.push_back(std::move(from.front().token));
    from.pop_front();
  }
}

Recorder::Recorder(const postgres::DatabaseOptions& database, metrics::Metrics& metrics, Progress& progress)
    : session_(database), metrics_(metrics), worker_(progress, "record") {
  worker_.Start([this] { Run(); });
}

Recorder::~Recorder() { Stop(Steady::now()); }

void Recorder::Drain(SteadyTime deadline) { session_.LimitBy(deadline); }

void Recorder::Finish(store::Finished finished, HeldRow token) {
  const MutexLock lock(mutex_);
  finished_.push_back({std::move(finished), std::move(token)});
  NoteQueued();
}

void Recorder::Requeue(const store::ToRequeue& row, HeldRow token) {
  const MutexLock lock(mutex_);
  to_requeue_.push_back({row, std::move(token)});
  NoteQueued();
}

std::size_t Recorder::unrecorded() const {
  const MutexLock lock(mutex_);
  return Unrecorded();
}

std::optional<std::string> Recorder::Fault() const {
  const MutexLock lock(mutex_);
  return fault_;
}

void Recorder::VerifyConnection() {
  const MutexLock lock(mutex_);
  if (!fault_) fault_ = "the connection that records outcomes is being checked";
  verify_ = true;
  worker_.Wake();
}

std::vector<store::Finished> Recorder::Stop(SteadyTime deadline) {
  session_.LimitBy(deadline);
  {
    const MutexLock lock(mutex_);
    deadline_ = std::min(deadline_, deadline);
  }
  worker_.Stop();

  const MutexLock lock(mutex_);
  std::vector<store::Finished> left = std::move(finished_batch_.rows);
  QueueLocked();
  for (auto& waiting : finished_) left.push_back(std::move(waiting.row));
  for (const store::ToRequeue& row : requeue_batch_.rows) left.push_back(NotSent(row));
  for (const auto& waiting : to_requeue_) left.push_back(NotSent(waiting.row));
  finished_.clear();
  finished_batch_ = {};
  to_requeue_.clear();
  requeue_batch_ = {};
  return left;
}

void Recorder::SignOff(const DispatcherId& dispatcher) {
  try {
    store::Unregister(session_, dispatcher);
  } catch (const std::exception& error) {
    log::Debug("deleting the registration of this dispatcher failed, others will declare it dead",
               {{"error", error.what()}});
  }
}

void Recorder::Run() {
  while (true) {
    worker_.NoteProgress();
    if (!HasWork() && !IsOver()) worker_.WaitUntil(NextLook());
    QueueLockedWhenDue();
    if (HasWork()) {
      Gather();
      TakeBatches();
      if (!WriteBatches() && !WaitForAnotherTry()) return;
    } else if (IsOver()) {
      return;
    } else {
      CheckConnection();
    }
  }
}

bool Recorder::HasWork() const {
  const MutexLock lock(mutex_);
  return !finished_.empty() || !to_requeue_.empty() || in_batches_ > 0;
}

// True when the recorder is stopped, and either everything is recorded or the deadline has passed.
bool Recorder::IsOver() const {
  const MutexLock lock(mutex_);
  return worker_.stopping() && (Unrecorded() == 0 || Steady::now() >= deadline_);
}

SteadyTime Recorder::NextLook() const {
  const MutexLock lock(mutex_);
  const SteadyTime now = Steady::now();
  if (verify_) return now;
  return std::min({now + (fault_ ? kRetryAfter : kLookEvery), retry_locked_at_, deadline_});
}

SteadyTime Recorder::deadline() const {
  const MutexLock lock(mutex_);
  return deadline_;
}

void Recorder::CheckConnection() {
  bool verify = false;
  {
    const MutexLock lock(mutex_);
    verify = std::exchange(verify_, false) || fault_.has_value();
  }
  if (verify || session_.MayBeLost()) KeepConnected();
}

void Recorder::Gather() {
  const auto is_full = [this] {
    const MutexLock lock(mutex_);
    return finished_.size() >= kMaxBatch;
  };
  const SteadyTime by = Steady::now() + kGather;
  while (!worker_.stopping() && Steady::now() < by && !is_full()) worker_.WaitUntil(by);
}

void Recorder::TakeBatches() {
  const MutexLock lock(mutex_);
  finished_batch_.TakeUpTo(kMaxBatch, finished_);
  requeue_batch_.TakeUpTo(kMaxBatch, to_requeue_);
  in_batches_ = finished_batch_.rows.size() + requeue_batch_.rows.size();
  verify_ = false;  // writing checks the connection
}

// False when no time is left for another try.
bool Recorder::WaitForAnotherTry() {
  const SteadyTime again = Steady::now() + kRetryAfter;
  while (Steady::now() < deadline()) {
    if (Steady::now() >= again) return true;
    worker_.WaitUntil(std::min(again, deadline()));
  }
  return false;
}

// No call is claimed while its outcome might find no connection (CONTRACT §4, "Records").
void Recorder::KeepConnected() {
  try {
    session_.KeepConnected();
    SetFault(std::nullopt);
  } catch (const std::exception& error) {
    log::Debug("connecting to record outcomes failed, retrying", {{"error", error.what()}});
    SetFault(error.what());
  }
}

void Recorder::SetFault(std::optional<std::string> fault) {
  const MutexLock lock(mutex_);
  fault_ = std::move(fault);
}

// True when the batches are in the log. Otherwise what is left of them is written again, which is safe
// because each write is conditional on the row's claim.
bool Recorder::WriteBatches() {
  metrics::Operation operation = metrics::Operation::kRecord;
  try {
    if (!finished_batch_.rows.empty()) RecordBatch();
    operation = metrics::Operation::kRequeue;
    if (!requeue_batch_.rows.empty()) RequeueBatch();
  } catch (const std::exception& error) {
    metrics_.database_errors(operation).Increment();
    // Logged once per reason, not at each try.
    if (std::exchange(said_, error.what()) != error.what()) {
      log::Warning(
          "recording outcomes failed, retrying",
          {{"operation", metrics::ToString(operation)}, {"waiting", unrecorded()}, {"error", error.what()}});
    }
    if (!session_.connected()) SetFault(error.what());
    return false;
  }
  if (!std::exchange(said_, "").empty()) log::Info("recording outcomes works again");
  const MutexLock lock(mutex_);
  if (!verify_) fault_.reset();
  NoteLocked();
  CountUnrecorded();
  return true;
}

void Recorder::RecordBatch() {
  const SteadyTime start = Steady::now();
  const store::Recorded recorded = store::Record(session_, finished_batch_.rows);
  metrics_.record_duration.Observe(Seconds(Steady::now() - start));
  metrics_.record_batch_size.Observe(static_cast<double>(finished_batch_.rows.size()));
  metrics_.unknown_resolved.Increment(recorded.unknown_resolved);
  for (const DeliveryId& id : recorded.lost) {
    log::Debug("a finished delivery has no open row: recorded already, or dropped", {{"delivery", id.get()}});
  }
  auto locked = TakeLocked(finished_batch_, recorded.locked);
  const MutexLock lock(mutex_);
  std::ranges::move(locked, std::back_inserter(locked_finished_));
  in_batches_ = requeue_batch_.rows.size();
  CountUnrecorded();
}

void Recorder::RequeueBatch() {
  store::Requeued requeued = store::Requeue(session_, requeue_batch_.rows);
  requeued.locked.merge(RecordNotRequeued(requeued.not_requeued));
  auto locked = TakeLocked(requeue_batch_, requeued.locked);
  const MutexLock lock(mutex_);
  std::ranges::move(locked, std::back_inserter(locked_requeues_));
  in_batches_ = 0;
  CountUnrecorded();
}

// These rows became `unknown` meanwhile, and the true outcome is that nothing was sent. A row that was
// requeued by a commit whose answer was lost is not in the log any more, and so is not changed. Returns the
// rows that another transaction has locked.
std::unordered_set<DeliveryId> Recorder::RecordNotRequeued(const std::vector<DeliveryId>& not_requeued) {
  std::vector<store::Finished> not_sent;
  for (const store::ToRequeue& row : requeue_batch_.rows) {
    if (std::ranges::find(not_requeued, row.key.id) != not_requeued.end()) not_sent.push_back(NotSent(row));
  }
  if (not_sent.empty()) return {};
  store::Recorded recorded = store::Record(session_, not_sent);
  metrics_.unknown_resolved.Increment(recorded.unknown_resolved);
  const auto is_among = [](const auto& ids, const DeliveryId& id) {
    return std::ranges::find(ids, id) != ids.end();
  };
  for (const store::Finished& finished : not_sent) {
    const DeliveryId& id = finished.key.id;
    if (recorded.locked.contains(id) || is_among(recorded.lost, id) || is_among(recorded.refused, id))
      continue;
    metrics_.deliveries(Outcome::kNotSent, finished.cause).Increment();
  }
  return std::move(recorded.locked);
}

// To be called when the batch is written. Empties it, and returns the rows that another transaction has
// locked.
template <class Row>
std::vector<Recorder::Waiting<Row>> Recorder::TakeLocked(Batch<Row>& batch,
                                                         const std::unordered_set<DeliveryId>& locked) {
  std::vector<Waiting<Row>> waiting;
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    if (locked.contains(batch.rows[i].key.id))
      waiting.push_back({std::move(batch.rows[i]), std::move(batch.tokens[i])});
  }
  batch.rows.clear();
  batch.tokens.clear();
  return waiting;
}

void Recorder::NoteLocked() {
  const std::size_t locked = locked_finished_.size() + locked_requeues_.size();
  if (locked > 0) {
    retry_locked_at_ = std::min(retry_locked_at_, Steady::now() + kRetryLockedAfter);
    if (!std::exchange(said_locked_, true)) {
      log::Warning("outcomes are not recorded yet because another transaction locks their rows, retrying",
                   {{"waiting", locked}});
    }
  } else if (Unrecorded() == 0) {
    said_locked_ = false;
  }
}

void Recorder::QueueLockedWhenDue() {
  const MutexLock lock(mutex_);
  if (Steady::now() >= retry_locked_at_) QueueLocked();
}

void Recorder::QueueLocked() {
  std::move(locked_finished_.begin(), locked_finished_.end(), std::back_inserter(finished_));
  std::move(locked_requeues_.begin(), locked_requeues_.end(), std::back_inserter(to_requeue_));
  locked_finished_.clear();
  locked_requeues_.clear();
  retry_locked_at_ = SteadyTime::max();
}

// Wakes the thread for the first row that waits, and for a full batch. The thread finds the rows in between
// without being woken.
void Recorder::NoteQueued() {
  CountUnrecorded();
  if (finished_.size() + to_requeue_.size() == 1 || finished_.size() == kMaxBatch) worker_.Wake();
}

std::size_t Recorder::Unrecorded() const {
  return finished_.size() + to_requeue_.size() + locked_finished_.size() + locked_requeues_.size() +
         in_batches_;
}

void Recorder::CountUnrecorded() { metrics_.outcomes_unrecorded.Set(static_cast<double>(Unrecorded())); }

}  // namespace postcall::dispatch
