// How much the next claim asks for, and how long to wait before it. Both follow from how the claims before it
// ended. It uses no clock and no database. One thread, the claim thread.
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
  static constexpr int kFirstRows = 200;
  static constexpr int kFewRows = 32;
  // The most rows of one claim. Larger claims are hardly cheaper per row, and keep their rows locked longer.
  static constexpr int kMaxRows = 500;
  // The most bytes of call data that are read at once, however many may be held: they must cross the network
  // within store::kReadAtOnce.
  static constexpr std::int64_t kMaxBytes = std::int64_t{4} << 20;
  // The longest limit for the reads of one claim, for a database that is slow for all agents.
  static constexpr std::chrono::milliseconds kLongestRead{4000};

  // The pause after a claim that claimed something; a few rows come together in it. An idle poll costs the
  // server well under 0.1 ms, so the longest pause is short.
  static constexpr Steady::duration kShortestPause = std::chrono::milliseconds(5);
  static constexpr Steady::duration kLongestPause = std::chrono::milliseconds(100);
  static constexpr Steady::duration kPauseWhileFull = std::chrono::milliseconds(20);
  static constexpr Steady::duration kPauseAfterError = std::chrono::milliseconds(500);
  // While the network is down, one call shows whether it still is (CONTRACT §2).
  static constexpr Steady::duration kProbeEvery = std::chrono::seconds(1);

  int rows_per_agent() const { return rows_per_agent_; }
  // The next claim starts with the agent after this one.
  const AgentId& last_agent() const { return last_agent_; }

  // The limits of the next claim, without its agents. No value: no claim is made now.
  std::optional<store::ClaimLimits> Next(const Admission::Room& room, bool network_is_down, SteadyTime now);

  // Call one of the Notes after each Next that returned limits: it tells how the claim ended. Skip comes
  // before each try, so that it holds when none is made.
  void Skip();
  void Note(const ClaimMade& made, SteadyTime now);
  void Note(const ClaimInDoubt& doubt);
  void Note(const store::Nothing& nothing);
  void Note(const store::TooMany& too_many);
  // True when the row's agent is to blame. False when the row before took long, too, and none was read in
  // between: then the database may be slow for all agents, and the reads have more time from now on.
  bool Note(const store::Unreadable& unreadable);

  // How long to wait before the next claim. Call it once after each of the functions above.
  Steady::duration NextPause();
  Steady::duration PauseAfterError();
  // The pause ends early when Room::freed has reached this number (Admission::WakeAt). No value: it does not.
  std::optional<std::int64_t> WakeAt(int in_flight) const;

 private:
  // How the present claim ended.
  enum class Ended {
    kEmpty,     // it claimed nothing, or no claim was made
    kTook,      // it claimed something, so there may be more soon
    kCutShort,  // a limit of its own ended it: there is more
    kFull,      // the limits of admission ended it
  };

  Ended Walked(int rows, int taken, bool more, std::size_t new_agents);

  AgentId last_agent_;
  int rows_per_agent_ = 1;
  int rows_wanted_ = kFirstRows;
  int rows_readable_ = kMaxRows;  // at once; few after some could not be read
  int read_singly_ = 0;           // rows still to be read one by one: one of them is slow
  std::chrono::milliseconds read_limit_ = store::kReadAtOnce;
  bool was_read_ = true;  // a call was read after the last one that took longer than the limit
  SteadyTime probed_at_;  // the last claim that sent something while the network was down

  // These are about the present claim.
  int max_rows_ = 0;
  bool some_are_limited_ = false;  // agents that may have fewer rows than others
  bool probes_ = false;
  std::int64_t freed_ = 0;

  Ended ended_ = Ended::kEmpty;

  Steady::duration pause_{};
};

}  // namespace postcall::dispatch
