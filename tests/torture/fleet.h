// The dispatchers of a torture run: real processes in numbered slots, each started again when it ends, and
// the disturbances of each. The thread that made it; any thread may call `KillFrom`.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "tests/support/service.h"

namespace postcall::test {

class Fleet {
 public:
  // `urls`: one per slot, the URL of its database. Every dispatcher gets `arguments`.
  Fleet(std::vector<std::string> urls, std::vector<std::string> arguments);

  std::size_t size() const { return slots_.size(); }
  const Service& At(std::size_t slot) const { return *slots_.at(slot).service; }
  bool HasService(std::size_t slot) const { return slots_.at(slot).service != nullptr; }
  const std::string& LabelAt(std::size_t slot) const { return slots_.at(slot).label; }
  bool IsUp(std::size_t slot) const { return HasService(slot) && !slots_.at(slot).stopped; }

  void Start(std::size_t slot);

  // Sends SIGKILL; any thread may call it. Does nothing when the slot is empty.
  void KillFrom(std::size_t slot);
  void Freeze(std::size_t slot);  // SIGSTOP
  void Thaw(std::size_t slot);    // SIGCONT
  void Terminate(std::size_t slot);

  // Until `Feed`, it may open only `more` descriptors in addition to those that it has. False when it has not
  // begun to work: without descriptors it would end by itself then, as it should.
  bool Starve(std::size_t slot, unsigned more);
  // True when it ran out of descriptors in the meantime.
  bool Feed(std::size_t slot);

  // The next dispatcher of the slot gets these variables in addition, and the ones after it do not.
  void StartNextWith(std::size_t slot, std::map<std::string, std::string> environment);

  // Removes processes that have ended, and reports those that ended by themselves. Call it often.
  void Reap();

  // Labels of dead dispatchers whose rows in flight have not been counted.
  struct Gone {
    std::string label;
    SteadyTime at;
    std::chrono::system_clock::time_point wall;  // the same moment by the wall clock, as the database has it
  };
  std::vector<Gone> TakeUncounted(SteadyTime before);

  // Stops that ended with exit 1, which is allowed only when the database was not reachable.
  struct Unrecorded {
    std::string label;
    SteadyTime from;  // SIGTERM
    std::string log;
  };
  std::vector<Unrecorded> TakeUnrecorded() { return std::exchange(unrecorded_, {}); }

  // Dispatchers that ended in an unexpected way, one sentence each.
  const std::vector<std::string>& surprises() const { return surprises_; }
  // Labels of all dispatchers that were stopped for a while.
  const std::set<std::string>& frozen() const { return frozen_; }
  int kills() const { return kills_; }
  int drains() const { return drains_; }  // stops that ended with exit 0

 private:
  struct Slot {
    std::string url;
    std::unique_ptr<Service> service;
    std::string label;
    std::map<std::string, std::string> next_environment;
    bool stopped = false;
    bool killed = false;
    SteadyTime terminated_at = SteadyTime::max();
  };

  void Ended(Slot& slot, int code);

  const std::vector<std::string> arguments_;
  mutable std::mutex mutex_;  // guards which process may be signalled
  std::vector<Slot> slots_;
  std::vector<Gone> uncounted_;
  std::vector<Unrecorded> unrecorded_;
  std::vector<std::string> surprises_;
  std::set<std::string> frozen_;
  int started_ = 0;
  int kills_ = 0;
  int drains_ = 0;
};

}  // namespace postcall::test
