// The dispatchers of a torture run: real processes in numbered slots, started anew whenever one ends, and
// what each was to be excused for. The thread that makes it; `KillFrom` is for any thread.
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
  // `urls`: one a slot, how it reaches the database. `arguments` are for each.
  Fleet(std::vector<std::string> urls, std::vector<std::string> arguments);

  std::size_t size() const { return slots_.size(); }
  const Service& At(std::size_t slot) const { return *slots_.at(slot).service; }
  bool HasService(std::size_t slot) const { return slots_.at(slot).service != nullptr; }
  const std::string& LabelAt(std::size_t slot) const { return slots_.at(slot).label; }
  bool IsUp(std::size_t slot) const { return HasService(slot) && !slots_.at(slot).stopped; }

  void Start(std::size_t slot);

  // SIGKILL at once, from whatever thread; nothing when the slot is empty.
  void KillFrom(std::size_t slot);
  void Freeze(std::size_t slot);  // SIGSTOP
  void Thaw(std::size_t slot);    // SIGCONT
  void Terminate(std::size_t slot);

  // It may open no more than `more` descriptors beside those that it has, until `Feed`. False when it has not
  // begun its work: one that lacks descriptors then ends by itself, as it should.
  bool Starve(std::size_t slot, unsigned more);
  // True when it ran out meanwhile.
  bool Feed(std::size_t slot);

  // The next dispatcher of the slot is started with this beside its own environment, those after it without.
  void StartNextWith(std::size_t slot, std::map<std::string, std::string> environment);

  // Takes away whatever has ended, and says of what ended by itself. To be called often.
  void Reap();

  // Labels of dispatchers that are gone and whose rows in flight have not been counted.
  struct Gone {
    std::string label;
    SteadyTime at;
    std::chrono::system_clock::time_point wall;  // likewise, as the database would say it
  };
  std::vector<Gone> TakeUncounted(SteadyTime before);

  // Stops that ended with exit 1, which only a database that was not to be had excuses.
  struct Unrecorded {
    std::string label;
    SteadyTime from;  // SIGTERM
    std::string log;
  };
  std::vector<Unrecorded> TakeUnrecorded() { return std::exchange(unrecorded_, {}); }

  // Dispatchers that ended otherwise than they were made to: each a sentence.
  const std::vector<std::string>& surprises() const { return surprises_; }
  // Labels of all that were stopped for a while.
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
  mutable std::mutex mutex_;  // guards who may be signalled
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
