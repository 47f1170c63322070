// What the next claim asks for. All claim sessions of a dispatcher share it, except the slow lane. They pick
// one after the other, so that each finds the rows that those before it have left; everything else of a
// claim, from reading its calls to its commit, runs side by side. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "common/clock.h"
#include "common/mutex.h"
#include "dispatcher/dispatch/admission.h"
#include "dispatcher/dispatch/claim_end.h"
#include "dispatcher/dispatch/claim_pace.h"
#include "dispatcher/dispatch/ready_agents.h"
#include "dispatcher/dispatch/slow_readers.h"
#include "dispatcher/store/ready_rows.h"

namespace postcall::dispatch {

class ClaimPlan {
 public:
  // Both outlive the plan.
  ClaimPlan(Admission& admission, SlowReaders& slow_readers)
      : admission_(admission), slow_readers_(slow_readers) {}

  // Who holds it may look at the plan and pick. Its destructor ends the turn.
  class Turn {
   public:
    Turn(Turn&& other) noexcept : plan_(std::exchange(other.plan_, nullptr)) {}
    Turn& operator=(Turn&& other) noexcept {
      std::swap(plan_, other.plan_);
      return *this;
    }
    ~Turn() {
      if (plan_ != nullptr) plan_->EndTurn();
    }

   private:
    friend class ClaimPlan;
    explicit Turn(ClaimPlan& plan) : plan_(&plan) {}
    ClaimPlan* plan_;
  };
  // The longest wait for the turn: a session whose database does not answer keeps it for seconds.
  static constexpr std::chrono::milliseconds kWaitForTurn{500};
  // No value after kWaitForTurn.
  std::optional<Turn> WaitForTurn();

  // Ready rows were seen.
  void Add(std::span<const store::ReadyRow> rows);

  struct Ask {
    store::ClaimLimits limits;
    ClaimPace::Asked asked;
    std::int64_t freed = 0;                 // Admission::Room's, as it was then
    std::uint64_t additions = 0;            // ReadyAgents::Asked's
    std::optional<AgentId> before_waiting;  // the agent before the first one that waits for others' slots
    bool is_large = false;                  // it has picked many rows
  };
  // The next claim, or why none is made. The caller has the turn, and keeps it until it has picked: otherwise
  // another session would pick from the same rows on.
  std::variant<Ask, ClaimPace::Ended> Next(bool network_is_down, SteadyTime now);

  // The claim has picked so many rows, and they have their slots. Asks admission to call its waker when
  // enough slots are free again for those who wait.
  void NotePicked(Ask& ask, int rows, std::span<const store::AgentProgress> progress);
  // Whether a claim of many rows is under way: only then is it worth a further session to claim beside it.
  bool has_large_claim() const;
  static constexpr int kManyRows = 50;

  // How the claim ended; call one of them.
  ClaimPace::Ended Note(const Ask& ask, const ClaimMade& made, SteadyTime now);
  ClaimPace::Ended Note(const Ask& ask, const store::Nothing& nothing);
  ClaimPace::Ended Note(const Ask& ask, const store::TooMany& too_many);
  ClaimPace::NotRead Note(const Ask& ask, const store::Unreadable& unreadable);
  // It was rolled back, or may have been: its rows are looked for again.
  void PutBack(const Ask& ask);

  Steady::duration PauseAfter(ClaimPace::Ended ended, SteadyTime now) const;
  bool reads_all() const;

 private:
  void EndTurn();
  void Close(const Ask& ask) REQUIRES(mutex_);
  void Return(const Ask& ask) REQUIRES(mutex_);

  Admission& admission_;
  SlowReaders& slow_readers_;

  mutable Mutex mutex_;
  CondVar turn_ended_;
  bool has_turn_ GUARDED_BY(mutex_) = false;  // some session
  ClaimPace pace_ GUARDED_BY(mutex_);
  ReadyAgents ready_ GUARDED_BY(mutex_);
  int large_claims_ GUARDED_BY(mutex_) = 0;
};

}  // namespace postcall::dispatch
