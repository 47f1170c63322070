// Writes outcomes to the delivery log, batched, on a thread with a connection of its own. While the database
// is away they wait here; the number that wait is bounded by the deliveries that were in flight, since
// nothing new is claimed meanwhile (CONTRACT §4, "Records"). One whose row another transaction holds waits
// apart, and holds up no other.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "common/pulse.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/metrics/metrics.h"
#include "dispatcher/store/database.h"
#include "dispatcher/store/give_back.h"
#include "dispatcher/store/record.h"

namespace postcall::dispatch {

class Recorder {
 public:
  Recorder(const store::DatabaseOptions& database, HeldDeliveries& held, metrics::Metrics& metrics,
           Pulse& pulse);
  // Stops at once; what is not recorded is lost with the process. Call Stop first.
  ~Recorder();

  // A delivery is over. Any thread.
  void Finish(store::Finished finished);

  // A delivery was not sent by this machine's own fault and goes back to the outbox. Any thread.
  void GiveBack(const store::Returned& returned);

  // Deliveries that are over, and not yet in the log.
  std::size_t unrecorded() const;

  // The dispatcher stops: keeps connected, for shortly before `deadline` there is no time to connect in. The
  // database is not waited for beyond that. Any thread.
  void Drain(SteadyTime deadline);
  // Records what waits, until `deadline` at most, and ends the thread. Idempotent. Returns what could not be
  // recorded; a delivery that could not be given back is among it as not_sent.
  std::vector<store::Finished> Stop(SteadyTime deadline);

 private:
  void Run();
  void KeepConnected();
  bool WriteBatch();
  void RecordNotBack(const std::vector<DeliveryId>& not_back);
  template <class T>
  void Done(std::vector<T>& batch, const std::unordered_set<DeliveryId>& held, std::vector<T>& aside);
  // With mutex_ held.
  void NoteHeld();
  void QueueHeld();  // at the end
  std::size_t Unrecorded() const;
  void CountUnrecorded();

  store::Session session_;
  HeldDeliveries& held_;
  metrics::Metrics& metrics_;
  Pulse::Beat& beat_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<store::Finished> finished_;
  std::deque<store::Returned> returned_;
  // Their rows were held when they were tried last.
  std::vector<store::Finished> held_finished_;
  std::vector<store::Returned> held_returned_;
  SteadyTime held_again_at_ = SteadyTime::max();
  bool said_held_ = false;
  bool draining_ = false;
  bool stopping_ = false;
  SteadyTime deadline_ = SteadyTime::max();

  // The record thread's own: what it took from the queues and has not yet written.
  std::vector<store::Finished> finished_batch_;
  std::vector<store::Returned> returned_batch_;
  std::size_t in_batches_ = 0;  // guarded by mutex_
  std::string said_;            // why it failed last, as logged

  std::thread thread_;
};

}  // namespace postcall::dispatch
