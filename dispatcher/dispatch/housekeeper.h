// What the log needs besides claims and records: watching the other dispatchers, sweeping rows that no
// dispatcher holds, making and dropping partitions, closing hours, sampling what the gauges show.
// One thread with a connection of its own. Any number of dispatchers may do this at the same time.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/progress.h"
#include "common/worker.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/metrics/metrics.h"
#include "dispatcher/postgres/database.h"
#include "dispatcher/store/liveness.h"

namespace postcall::dispatch {

class Housekeeper {
 public:
  using Clock = store::Observer::Clock;

  // `others_connected`: the sessions that claim and record have their connections. Any thread.
  Housekeeper(const postgres::DatabaseOptions& database, DispatcherId dispatcher, int retention_days,
              int ledger_days, const HeldDeliveries& held, std::function<bool()> others_connected,
              metrics::Metrics& metrics, Progress& progress, Clock clock = Steady::now);
  ~Housekeeper();

  void Start();
  // Cuts off the chore that is running. Idempotent.
  void Stop();

  // Runs each chore that is due, and returns when the next one is. The thread calls it again and again; a
  // test calls it without the thread.
  SteadyTime RunDue();

 private:
  struct Chore {
    const char* name;
    metrics::Operation operation;
    Steady::duration every;
    std::function<void()> run;
    SteadyTime next{};
    std::string said{};                   // the last failure's reason, as logged
    std::optional<std::uint64_t> lost{};  // the number of the connection that its last failure closed
  };

  void Run();
  void RunChore(Chore& chore);
  bool MayConnect();
  bool IsAway(Chore& chore, const std::exception& error);
  void WatchOthers();
  void Sweep();
  void KeepPartitions();
  void SampleOutbox();
  void SampleRecent();
  void CountUnknown(const std::vector<store::Swept>& rows);

  postgres::Session session_;
  const DispatcherId dispatcher_;
  const int retention_days_;
  const int ledger_days_;
  const Clock clock_;
  const HeldDeliveries& held_;
  const std::function<bool()> others_connected_;
  metrics::Metrics& metrics_;
  store::Observer observer_;
  std::vector<Chore> chores_;
  bool may_release_ = false;  // the last look saw calls that wait for their analysis, or hints
  SteadyTime others_lost_at_ = SteadyTime::max();
  SteadyTime alone_since_ = SteadyTime::max();  // since when only this session cannot connect

  Worker worker_;
};

}  // namespace postcall::dispatch
