// How much the next claim asks for, and how long to wait before it. Both follow from how the claims before it
// ended. It uses no clock and no database. One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "common/clock.h"
#include "dispatcher/dispatch/admission.h"
#include "dispatcher/dispatch/claim_end.h"
#include "dispatcher/store/claim.h"

namespace postcall::dispatch {

class ClaimPace {
 public:
  // The most rows of one claim. Larger claims are hardly cheaper per row, and keep their rows locked longer.
  static constexpr int kMaxRows = 500;
  // The most bytes of call data that are read at once, however many may be held: they must cross the network
  // within store::kReadAtOnce.
  static constexpr std::int64_t kMaxBytes = std::int64_t{4} << 20;
  // The longest limit for the reads of one claim, for a database that is slow for all agents.
  static constexpr std::chrono::milliseconds kLongestRead{4000};

  // While nothing is due, the pause is a part of the time since something was claimed. Calls that come
  // together are then claimed together, and those that come now and then do not wait for long.
  static constexpr int kPartOfTime = 16;
  static constexpr Steady::duration kShortestPause = std::chrono::milliseconds(2);
  static constexpr Steady::duration kLongestPause = std::chrono::milliseconds(100);
  // The longest that rows wait for more slots than few.
  static constexpr Steady::duration kPauseWhileFull = std::chrono::milliseconds(20);
  static constexpr Steady::duration kPauseAfterError = std::chrono::milliseconds(500);
  // While the network is down, one call shows whether it still is (CONTRACT §2).
  static constexpr Steady::duration kProbeEvery = std::chrono::seconds(1);

  int rows_per_agent() const { return rows_per_agent_; }
  // The next claim starts with the agent after this one.
  const AgentId& last_agent() const { return last_agent_; }
  void SkipTo(const AgentId& agent) { last_agent_ = agent; }

  // What a claim asked for, as far as its end must be judged by it.
  struct Asked {
    int max_rows = 0;
    bool probes = false;         // whether the network is still down
    bool left_out = false;       // there are agents that it did not ask for
    bool some_wait = false;      // for slots
    bool little_memory = false;  // is left for bodies
  };

  // The limits of the next claim, without its agents. No value: no claim is made now.
  std::optional<store::ClaimLimits> Next(const Admission::Room& room, bool network_is_down,
                                         SteadyTime now) const;
  // False when the claim may wait for more slots: the last one was a moment ago.
  bool IsTime(bool is_worthwhile, SteadyTime now) const {
    return is_worthwhile || now - asked_at_ >= kPauseWhileFull;
  }
  void NoteAsked(SteadyTime now) { asked_at_ = now; }

  // How a claim ended.
  enum class Ended {
    kEmpty,     // it claimed nothing, or no claim was made
    kTook,      // it claimed something, so there may be more soon
    kCutShort,  // a limit of its own ended it: there is more
    kFull,      // what is due waits for slots
  };
  Ended Note(const ClaimMade& made, const Asked& asked, SteadyTime now);
  Ended Note(const store::Nothing& nothing, const Asked& asked);
  Ended Note(const store::TooMany& too_many);
  // `is_of_its_agent`: the row's agent is to blame. Otherwise the row before took long, too, and none was
  // read in between: then the database may be slow for all agents, and the reads have more time from now on.
  struct NotRead {
    Ended ended;
    bool is_of_its_agent;
  };
  NotRead Note(const store::Unreadable& unreadable);

  // How long to wait before the next claim.
  Steady::duration PauseAfter(Ended ended, SteadyTime now) const;

  // Whether all rows are read at once, as usual, and not fewer because some could not be read.
  bool reads_all() const { return rows_readable_ == kMaxRows; }

 private:
  Ended Walked(int rows, int taken, bool more, const Asked& asked);

  AgentId last_agent_;
  int rows_per_agent_ = 1;
  int rows_readable_ = kMaxRows;  // at once; few after some could not be read
  int read_singly_ = 0;           // rows still to be read one by one: one of them is slow
  std::chrono::milliseconds read_limit_ = store::kReadAtOnce;
  bool was_read_ = true;  // a call was read after the last one that took longer than the limit
  SteadyTime probed_at_;  // the last claim that sent something while the network was down
  SteadyTime asked_at_;   // the last claim
  SteadyTime took_at_;    // the last claim that claimed something
};

}  // namespace postcall::dispatch
