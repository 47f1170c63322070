// How many rows of each agent a claim picks, so that each row that it picks finds a slot: agents whose limits
// are used up are stepped over before the database is asked. It counts what it allots, and takes no slot:
// that is TryAdmit's. Made for one claim. One thread.
#pragma once

#include <string>
#include <unordered_map>

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

  // The rows that the claim may pick of this agent, at most `wanted`. Call it once for each agent. An agent
  // whose endpoint is not known yet has all of them; its rows may find no slot.
  int For(const AgentId& agent, int wanted);

  // Whether the last agent got fewer rows than its own limit allows: others of its endpoint, or other slow
  // agents, have the slots.
  bool last_waits_for_others() const { return last_waits_for_others_; }
  // All that was allotted.
  int rows() const { return all_.rows; }
  // Whether an agent got fewer rows than it wanted.
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

  Gate& GateOf(const std::string& endpoint) REQUIRES(admission_.mutex_);

  Admission& admission_;
  const SteadyTime now_;
  Gate all_;
  Gate slow_;
  std::unordered_map<std::string, Gate> endpoints_;
  int rows_of_strangers_ = 0;
  bool some_wait_ = false;
  bool last_waits_for_others_ = false;
};

}  // namespace postcall::dispatch
