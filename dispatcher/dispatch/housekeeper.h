// What the log needs beside claims and records: watching the other dispatchers, sweeping what nobody holds,
// making and dropping partitions, closing hours, taking the samples that the gauges show.
// One thread with a connection of its own; any number of dispatchers may do the same at once.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/pulse.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/metrics/metrics.h"
#include "dispatcher/store/database.h"
#include "dispatcher/store/liveness.h"

namespace postcall::dispatch {

class Housekeeper {
 public:
  Housekeeper(const store::DatabaseOptions& database, DispatcherId dispatcher, int retention_days,
              const HeldDeliveries& held, metrics::Metrics& metrics, Pulse& pulse);
  ~Housekeeper();

  void Start();
  // The chore at work is cut off. Idempotent.
  void Stop();

 private:
  struct Chore {
    const char* name;
    metrics::Operation operation;
    Steady::duration every;
    std::function<void()> run;
    SteadyTime next{};
    std::string said{};  // why it failed last, as logged
  };

  void Run();
  void RunChore(Chore& chore);
  void WatchOthers();
  void Sweep();
  void KeepPartitions();
  void SampleOutbox();
  void CountUnknown(const std::vector<store::Swept>& rows);

  store::Session session_;
  const DispatcherId dispatcher_;
  const int retention_days_;
  const HeldDeliveries& held_;
  metrics::Metrics& metrics_;
  Pulse::Beat& beat_;
  store::Observer observer_;
  std::vector<Chore> chores_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace postcall::dispatch
