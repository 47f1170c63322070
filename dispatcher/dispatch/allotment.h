// How many rows of each agent a claim picks, so that each row that it picks finds a slot: agents whose limits
// are used up are stepped over before the database is asked. It counts what it allots, and takes no slot:
// that is TryAdmit's. Made for one claim. One thread.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/mutex.h"
#include "dispatcher/dispatch/admission.h"
#include "schema/ids.h"

namespace postcall::dispatch {

class Allotment {
 public:
  // So many free slots are worth a claim, however many are taken.
  static constexpr int kEnough = 200;

  Allotment(Admission& admission, SteadyTime now);

  // One row of this agent, which wants so many, or 0. Call it once for each agent. An agent whose endpoint is
  // not known yet has its row; it may find no slot.
  int One(const AgentId& agent, int wanted);
  // What is left, for an agent that has one row, by its number among these: it may have calls for as many
  // rows, or for none. So no agent has a second row before each has its first.
  int More(std::size_t number);

  // Whether the last agent got no row although its own limit allows one: others of its endpoint, or other
  // slow agents, have the slots.
  bool last_waits_for_others() const { return last_waits_for_others_; }
  // How many agents have a row.
  int rows() const { return static_cast<int>(claimants_.size()); }
  // Whether an agent got no row, or has few slots of its own left.
  bool some_wait() const { return some_wait_; }
  // False when all rows are of agents that wait, and are few. A claim of one row costs about as much as a
  // claim of fifty, so it is better to wait until more of their slots are free.
  bool IsWorthwhile() const;

  // How many slots must be free, when `in_flight` are taken, to be worth a claim: a fifth of all. Waiting for
  // more leaves the network idle between claims; claims of fewer rows cost more for each.
  static int Enough(int in_flight);

 private:
  // A limit that several agents share.
  struct Gate {
    int left = 0;
    int in_flight = 0;
    int rows = 0;  // allotted, without those of agents that wait for more slots of their own
    bool used_up = false;
  };
  // An agent that has one row.
  struct Claimant {
    Gate* endpoint = nullptr;  // null: not known yet
    bool is_slow = false;
    bool is_few = false;  // it waits for more slots of its own
    int wanted = 0;       // more, as far as its own limit allows
  };

  void Give(const Claimant& claimant, int rows);
  Gate& GateOf(const std::string& endpoint) REQUIRES(admission_.mutex_);

  Admission& admission_;
  const SteadyTime now_;
  Gate all_;
  Gate slow_;
  std::unordered_map<std::string, Gate> endpoints_;
  std::vector<Claimant> claimants_;
  bool has_strangers_ = false;
  bool some_wait_ = false;
  bool last_waits_for_others_ = false;
};

}  // namespace postcall::dispatch
