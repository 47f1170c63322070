// Writes outcomes to the delivery log, in batches, on a thread with a connection of its own. While the
// database is away, outcomes wait here: no more of them than deliveries were in flight, because nothing is
// claimed meanwhile (CONTRACT §4, "Records"). An outcome whose row another transaction has locked waits
// apart, and delays no other. The recorder stays connected while it has nothing to write; while it is not
// connected, nothing is claimed.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/mutex.h"
#include "common/progress.h"
#include "common/worker.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/metrics/metrics.h"
#include "dispatcher/postgres/database.h"
#include "dispatcher/store/record.h"
#include "dispatcher/store/requeue.h"

namespace postcall::dispatch {

class Recorder {
 public:
  Recorder(const postgres::DatabaseOptions& database, metrics::Metrics& metrics, Progress& progress);
  // Stops at once; what is not recorded is lost with the process. Call Stop first.
  ~Recorder();

  // A delivery is over. Its token is released when the outcome is in the log. Any thread.
  void Finish(store::Finished finished, HeldRow token);

  // This machine failed to send a delivery: its row is moved back to the outbox. Any thread.
  void Requeue(const store::ToRequeue& row, HeldRow token);

  // Deliveries that are over, and not yet in the log.
  std::size_t unrecorded() const;
  // Outcomes that are not in the log yet are in memory only. So nothing is claimed while there are more of
  // them than deliveries may be in flight.
  bool HasRoom(int in_flight_limit) const {
    return unrecorded() <= static_cast<std::size_t>(in_flight_limit);
  }

  // None when outcomes can be recorded: there is a connection. Otherwise the reason, without a password. Any
  // thread.
  std::optional<std::string> Fault() const;
  // Another session had to connect again, so this connection may be lost, too. There is a fault until a check
  // has shown that it works. Any thread.
  void VerifyConnection();

  // The dispatcher stops: the database is not waited for beyond `deadline`. Any thread.
  void Drain(SteadyTime deadline);
  // Records what waits, until `deadline` at most, and ends the thread. Idempotent. Returns what could not be
  // recorded; a delivery that could not be requeued is among it as not_sent.
  std::vector<store::Finished> Stop(SteadyTime deadline);
  // Deletes the dispatcher's row of webhook_dispatchers over this connection, the last one that is open. Call
  // it after Stop.
  void SignOff(const DispatcherId& dispatcher);

 private:
  template <class Row>
  struct Waiting {
    Row row;
    HeldRow token;
  };
  // The rows of one statement, and the tokens of each.
  template <class Row>
  struct Batch {
    std::vector<Row> rows;
    std::vector<HeldRow> tokens;

    void TakeUpTo(std::size_t count, std::deque<Waiting<Row>>& from);
  };

  void Run();
  SteadyTime NextLook() const;
  bool HasWork() const;
  bool IsOver() const;
  void Gather();
  void TakeBatches();
  bool WaitForAnotherTry();
  void CheckConnection();
  void QueueLockedWhenDue();
  void KeepConnected();
  bool WriteBatches();
  void RecordBatch();
  void RequeueBatch();
  std::unordered_set<DeliveryId> RecordNotRequeued(const std::vector<DeliveryId>& not_requeued);
  template <class Row>
  static std::vector<Waiting<Row>> TakeLocked(Batch<Row>& batch,
                                              const std::unordered_set<DeliveryId>& locked);
  void SetFault(std::optional<std::string> fault);
  void NoteLocked() REQUIRES(mutex_);
  void QueueLocked() REQUIRES(mutex_);
  std::size_t Unrecorded() const REQUIRES(mutex_);
  void NoteQueued() REQUIRES(mutex_);
  void CountUnrecorded() REQUIRES(mutex_);
  SteadyTime deadline() const;

  postgres::Session session_;
  metrics::Metrics& metrics_;

  mutable Mutex mutex_;
  std::deque<Waiting<store::Finished>> finished_ GUARDED_BY(mutex_);
  std::deque<Waiting<store::ToRequeue>> to_requeue_ GUARDED_BY(mutex_);
  // Another transaction had locked their rows at the last try.
  std::vector<Waiting<store::Finished>> locked_finished_ GUARDED_BY(mutex_);
  std::vector<Waiting<store::ToRequeue>> locked_requeues_ GUARDED_BY(mutex_);
  SteadyTime retry_locked_at_ GUARDED_BY(mutex_) = SteadyTime::max();
  bool said_locked_ GUARDED_BY(mutex_) = false;
  std::optional<std::string> fault_ GUARDED_BY(mutex_) = "not connected to the database yet";
  bool verify_ GUARDED_BY(mutex_) = true;
  SteadyTime deadline_ GUARDED_BY(mutex_) = SteadyTime::max();
  std::size_t in_batches_ GUARDED_BY(mutex_) = 0;  // rows that the two batches hold

  // Only the record thread uses these: the rows that it took from the queues and has not yet written.
  Batch<store::Finished> finished_batch_;
  Batch<store::ToRequeue> requeue_batch_;
  std::string said_;  // why it failed last, as logged

  Worker worker_;
};

}  // namespace postcall::dispatch
