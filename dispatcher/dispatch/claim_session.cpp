#include "dispatcher/dispatch/claim_session.h"

#include <optional>
#include <utility>
#include <variant>

namespace postcall::dispatch {

ClaimSession::ClaimSession(postgres::Session& session, const ClaimContext& context, ClaimPlan& plan,
                           SlowReaders& slow_readers, UniqueFunction<void()> there_is_more)
    : context_(context),
      plan_(plan),
      slow_readers_(slow_readers),
      there_is_more_(std::move(there_is_more)),
      claims_(session, context) {}

ClaimPace::Ended ClaimSession::ClaimOnce(std::vector<store::ReadyRow>& seen, const Settle& settle) {
  std::optional<ClaimPlan::Turn> turn = plan_.WaitForTurn();
  plan_.Add(std::exchange(seen, {}));
  if (!turn) return ClaimPace::Ended::kFull;
  if (!context_.recorder.HasRoom(context_.admission.limit())) return ClaimPace::Ended::kEmpty;
  auto next = plan_.Next(context_.sender.network_fault().has_value(), Steady::now());
  if (const auto* ended = std::get_if<ClaimPace::Ended>(&next)) return *ended;
  auto ask = std::get<ClaimPlan::Ask>(std::move(next));
  ClaimEnd end;
  try {
    end = Make(ask, turn);
  } catch (...) {
    plan_.PutBack(ask);
    throw;
  }
  if (auto* doubt = std::get_if<ClaimInDoubt>(&end)) {
    settle(std::move(*doubt));  // this may take long; others have the turn meanwhile
    plan_.PutBack(ask);
    return ClaimPace::Ended::kTook;
  }
  return Note(ask, end);
}

ClaimEnd ClaimSession::Make(ClaimPlan::Ask& ask, std::optional<ClaimPlan::Turn>& turn) {
  return claims_.Make(ask.limits, [&](const store::OpenClaim& claim) {
    plan_.NotePicked(ask, claim.picked(), claim.Progress());
    turn.reset();
    if ((claim.has_more() || ask.asked.left_out) && ask.is_large && plan_.reads_all()) there_is_more_();
  });
}

ClaimPace::Ended ClaimSession::Note(const ClaimPlan::Ask& ask, const ClaimEnd& end) {
  const SteadyTime now = Steady::now();
  if (const auto* nothing = std::get_if<store::Nothing>(&end)) return plan_.Note(ask, *nothing);
  if (const auto* too_many = std::get_if<store::TooMany>(&end)) return plan_.Note(ask, *too_many);
  if (const auto* unreadable = std::get_if<store::Unreadable>(&end)) {
    const ClaimPace::NotRead noted = plan_.Note(ask, *unreadable);
    if (noted.is_of_its_agent)
      slow_readers_.NoteTrouble(unreadable->row.agent_id, !unreadable->timed_out, now);
    return noted.ended;
  }
  const auto& made = std::get<ClaimMade>(end);
  if (made.taken() > 0) {
    context_.metrics.claim_duration.Observe(Seconds(made.took));
    context_.metrics.claim_batch_size.Observe(static_cast<double>(made.taken()));
  }
  for (const AgentId& agent : made.walk.unread) slow_readers_.NoteTrouble(agent, /*proven=*/true, now);
  return plan_.Note(ask, made, now);
}

}  // namespace postcall::dispatch
