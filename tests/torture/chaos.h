// The disturbances of the dispatchers and their database in a torture run: they are chosen at random, and the
// end of each is scheduled. The thread that made it, which also owns the processes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <pqxx/pqxx>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/clock.h"
#include "tests/support/pgbouncer.h"
#include "tests/support/private_postgres.h"
#include "tests/support/tcp_proxy.h"
#include "tests/support/wrong_clock.h"
#include "tests/torture/customers.h"
#include "tests/torture/fleet.h"
#include "tests/torture/whims.h"

namespace postcall::test {

// The objects that are disturbed. All of them outlive the chaos.
struct World {
  PrivatePostgres& postgres;
  std::string database;      // its name
  std::string database_url;  // by the server's socket
  TcpProxy& proxy;           // slot `proxied` reaches the database through it
  Fleet& fleet;
  Customers& customers;
  std::size_t proxied = 0;
};

class Chaos {
 public:
  Chaos(World world, unsigned seed);

  // Disturbs until `end`. When it returns, everything is as it was before and every slot has a dispatcher.
  void Run(SteadyTime end);
  // Stops the database for this time; nothing else happens.
  void TakeTheDatabaseAway(Steady::duration length);
  // Waits, and ends disturbances that are due.
  void WaitUntil(SteadyTime moment);

  // How many rows were in flight when each dead dispatcher ended. It is complete a few seconds after the last
  // end.
  const std::map<std::string, int>& in_flight_at_the_end() const { return in_flight_at_the_end_; }
  // How often a dispatcher without descriptors requeued a claim.
  int requeues() const { return requeues_; }
  const std::map<std::string, int>& disturbances() const { return disturbances_; }
  // Events that no disturbance explains, one sentence each.
  const std::vector<std::string>& surprises() const { return surprises_; }

 private:
  struct Disturbance {
    std::string name;
    int weight;
    std::function<bool()> begin;  // false when it is not possible now
  };

  void Disturb();
  void After(Steady::duration length, std::function<void()> action);
  void Turn();
  void CountWhatWasInFlight();
  void JudgeStops();
  Steady::duration Between(int least_ms, int most_ms);
  std::size_t AnySlot();
  bool DatabaseIsHealthy() const { return database_up_ && !stalled_ && !locker_; }

  bool Kill();
  bool KillAtACommit();
  bool Terminate();
  bool Freeze();
  bool CutACommit();
  bool CrashTheDatabase();
  bool StopTheDatabase();
  bool SignalBackends(const std::string& function);
  bool LockTheLog();
  bool Stall();
  bool HoldATransaction();
  bool TakeDescriptors();
  bool SetAWrongClock();
  bool Indulge(const Whims::Whim& whim);

  World world_;
  std::mt19937 random_;
  Whims whims_;
  const WrongClock ahead_{"torture-ahead", std::chrono::hours(1)};
  const WrongClock behind_{"torture-behind", -std::chrono::hours(1)};
  std::vector<Disturbance> kinds_;
  std::multimap<SteadyTime, std::function<void()>> agenda_;

  bool database_up_ = true;
  bool stalled_ = false;
  bool frozen_ = false;
  bool starved_ = false;
  int requeues_ = 0;
  std::unique_ptr<Whims::OpenTransaction> open_;
  std::unique_ptr<pqxx::connection> locker_;
  SteadyTime healthy_since_ = Steady::now();
  SteadyTime starved_at_;               // the last moment at which descriptors were short
  SteadyTime connections_hit_at_;       // the last moment at which connections were cut
  int faults_ = 0;                      // of the proxy so far
  std::set<std::string> cut_off_ = {};  // labels of dispatchers that could not reach the database for a while

  std::map<std::string, int> in_flight_at_the_end_;
  std::map<std::string, int> disturbances_;
  std::vector<std::string> surprises_;
};

}  // namespace postcall::test
