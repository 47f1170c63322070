#include "dispatcher/dispatch/claim_plan.h"

#include <algorithm>
#include <unordered_set>
#include <utility>
#include <vector>

#include "dispatcher/dispatch/allotment.h"

namespace postcall::dispatch {

std::optional<ClaimPlan::Turn> ClaimPlan::WaitForTurn() {
  const SteadyTime deadline = Steady::now() + kWaitForTurn;
  MutexLock lock(mutex_);
  while (has_turn_) {
    if (Steady::now() >= deadline) return std::nullopt;
    turn_ended_.WaitUntil(lock, deadline);
  }
  has_turn_ = true;
  return Turn(*this);
}

void ClaimPlan::EndTurn() {
  const MutexLock lock(mutex_);
  has_turn_ = false;
  turn_ended_.NotifyOne();
}

void ClaimPlan::Add(std::span<const store::ReadyRow> rows) {
  const MutexLock lock(mutex_);
  for (const store::ReadyRow& row : rows) ready_.Add(row);
}

std::variant<ClaimPlan::Ask, ClaimPace::Ended> ClaimPlan::Next(bool network_is_down, SteadyTime now) {
  const Admission::Room room = admission_.RoomNow(now);
  // Slow readers have claims of their own.
  const std::vector<AgentId> slow = slow_readers_.After(AgentId(), now);
  const std::unordered_set<AgentId> slow_readers(slow.begin(), slow.end());

  const MutexLock lock(mutex_);
  std::optional<store::ClaimLimits> limits = pace_.Next(room, network_is_down, now);
  if (!limits) return room.slots == 0 ? ClaimPace::Ended::kFull : ClaimPace::Ended::kEmpty;
  Allotment allotment(admission_, now);
  const int per_agent = pace_.rows_per_agent();
  AgentId previous = pace_.last_agent();
  std::optional<AgentId> before_waiting;
  ReadyAgents::Asked asked =
      ready_.SharesAfter(pace_.last_agent(), limits->max_rows, [&](const AgentId& agent) {
        const int rows = slow_readers.contains(agent) ? 0 : allotment.One(agent, per_agent);
        if (allotment.last_waits_for_others() && !before_waiting) before_waiting = previous;
        previous = agent;
        return rows > 0;
      });
  for (std::size_t number = 0; number < asked.agents.size(); ++number) {
    store::AgentShare& share = asked.agents[number];
    share.max_rows += allotment.More(number);
    share.is_full_share = share.max_rows == per_agent;
  }
  if (asked.agents.empty() && asked.left_out) pace_.SkipTo(asked.last);
  if (asked.agents.empty() && !allotment.some_wait()) return ClaimPace::Ended::kEmpty;
  if (asked.agents.empty() || !pace_.IsTime(allotment.IsWorthwhile(), now)) {
    admission_.WakeAt(room.freed + std::max(1, Allotment::Enough(room.in_flight) - allotment.rows()));
    return ClaimPace::Ended::kFull;
  }
  pace_.NoteAsked(now);
  limits->agents = std::move(asked.agents);
  const int max_rows = limits->max_rows;
  return Ask{.limits = *std::move(limits),
             .asked = {.max_rows = max_rows,
                       .probes = network_is_down,
                       .left_out = asked.left_out,
                       .some_wait = allotment.some_wait(),
                       .little_memory = room.body_bytes < ClaimPace::kMaxBytes},
             .freed = room.freed,
             .additions = asked.additions,
             .before_waiting = std::move(before_waiting)};
}

void ClaimPlan::NotePicked(Ask& ask, int rows, std::span<const store::AgentProgress> progress) {
  {
    const MutexLock lock(mutex_);
    ready_.Note(progress, ask.additions);
    // Who waited for the slots of others has the first choice next time. When not all agents were asked, the
    // others come first.
    const bool asked_all = !ask.asked.left_out && rows < ask.asked.max_rows;
    if (asked_all && ask.before_waiting) {
      pace_.SkipTo(*ask.before_waiting);
    } else if (!progress.empty()) {
      pace_.SkipTo(progress.back().agent_id);
    }
    ask.is_large = rows >= kManyRows;
    if (ask.is_large) ++large_claims_;
  }
  if (ask.asked.some_wait) admission_.WakeAt(ask.freed + Allotment::Enough(admission_.in_flight()));
}

ClaimPace::Ended ClaimPlan::Note(const Ask& ask, const ClaimMade& made, SteadyTime now) {
  const MutexLock lock(mutex_);
  Close(ask);
  for (const store::ReadyRow& row : made.walk.left) ready_.Add(row);
  return pace_.Note(made, ask.asked, now);
}

ClaimPace::Ended ClaimPlan::Note(const Ask& ask, const store::Nothing& nothing) {
  const MutexLock lock(mutex_);
  ready_.Remove(ask.limits.agents, ask.additions);
  return pace_.Note(nothing, ask.asked);
}

ClaimPace::Ended ClaimPlan::Note(const Ask& ask, const store::TooMany& too_many) {
  const MutexLock lock(mutex_);
  Return(ask);
  return pace_.Note(too_many);
}

ClaimPace::NotRead ClaimPlan::Note(const Ask& ask, const store::Unreadable& unreadable) {
  const MutexLock lock(mutex_);
  Return(ask);
  return pace_.Note(unreadable);
}

void ClaimPlan::PutBack(const Ask& ask) {
  const MutexLock lock(mutex_);
  Return(ask);
}

Steady::duration ClaimPlan::PauseAfter(ClaimPace::Ended ended, SteadyTime now) const {
  const MutexLock lock(mutex_);
  return pace_.PauseAfter(ended, now);
}

bool ClaimPlan::reads_all() const {
  const MutexLock lock(mutex_);
  return pace_.reads_all();
}

bool ClaimPlan::has_large_claim() const {
  const MutexLock lock(mutex_);
  return large_claims_ > 0;
}

void ClaimPlan::Close(const Ask& ask) {
  if (ask.is_large) --large_claims_;
}

void ClaimPlan::Return(const Ask& ask) {
  Close(ask);
  for (const store::AgentShare& share : ask.limits.agents) ready_.Add({share.agent_id, share.from});
}

}  // namespace postcall::dispatch
