#include "dispatcher/dispatch/claims.h"

#include <utility>
#include <variant>
#include <vector>

#include "common/log.h"
#include "dispatcher/store/resolve.h"
#include "dispatcher/store/set_aside.h"

namespace postcall::dispatch {
namespace {

// It does not have the database's error, which may quote the call. The service's log has that error.
constexpr const char* kCannotBeRead = "Nothing was sent: the call could not be read from the database.";

std::vector<store::ToSend> RowsOf(const Deliveries& deliveries) {
  std::vector<store::ToSend> rows;
  rows.reserve(deliveries.size());
  for (const ClaimedDeliveryPtr& delivery : deliveries) {
    rows.push_back({&delivery->row, delivery->destination->target().url_for_log});
  }
  return rows;
}

}  // namespace

Claims::Claims(postgres::Session& session, const ClaimContext& context)
    : session_(session), context_(context), intake_(context.admission, context.held) {}

ClaimEnd Claims::Make(const store::ClaimLimits& limits, const Picked& on_picked) {
  const SteadyTime start = Steady::now();
  auto picked = store::OpenClaim::Pick(session_, NextClaimer(), limits);
  if (auto* nothing = std::get_if<store::Nothing>(&picked)) return *nothing;
  if (auto* too_many = std::get_if<store::TooMany>(&picked)) return *too_many;
  if (auto* unreadable = std::get_if<store::Unreadable>(&picked)) return std::move(*unreadable);
  auto claim = std::get<store::OpenClaim>(std::move(picked));

  Deliveries admitted = intake_.Admit(claim);
  if (on_picked) on_picked(claim);
  const auto read = claim.Read(RowsOf(admitted));
  if (const auto* too_many = std::get_if<store::TooMany>(&read)) return *too_many;
  if (const auto* unreadable = std::get_if<store::Unreadable>(&read)) return *unreadable;
  intake_.AddBodies(claim, admitted, std::get<store::OpenClaim::Calls>(read));

  const std::vector<store::ToSend> rows = RowsOf(admitted);
  ClaimMade made{.walk = claim.WalkAfter(rows)};
  auto result = std::move(claim).Commit(rows);
  made.took = Steady::now() - start;
  return HandOver(std::move(result), std::move(admitted), std::move(made));
}

ClaimEnd Claims::SetAside(const store::Unreadable& unreadable) {
  return HandOver(store::SetAside(session_, NextClaimer(), unreadable, kCannotBeRead), {}, {});
}

// The claim is committed: from here on each of its rows is sent once, or ends with the reason why not.
ClaimEnd Claims::HandOver(std::variant<store::Claimed, store::InDoubt> result, Deliveries deliveries,
                          ClaimMade made) {
  if (auto* doubt = std::get_if<store::InDoubt>(&result)) {
    context_.metrics.database_errors(metrics::Operation::kClaim).Increment();
    log::Warning("a claim's commit is in doubt, asking the database whether it was committed",
                 {{"claim", doubt->claimed.claim_id.get().ToString()}});
    return ClaimInDoubt{std::move(*doubt), std::move(deliveries)};
  }
  const auto& claimed = std::get<store::Claimed>(result);
  if (claimed.alive_at > context_.alive_at.load()) context_.alive_at = claimed.alive_at;
  made.to_send = static_cast<int>(deliveries.size());
  made.finished = static_cast<int>(claimed.finished.size());
  for (ClaimedDeliveryPtr& delivery : deliveries) {
    delivery->Own(claimed);
    context_.sender.Send(std::move(delivery));
  }
  CountFinished(claimed);
  return made;
}

std::optional<std::string> Claims::TrySettle(ClaimInDoubt& claim) {
  const store::Resolved resolved = store::ResolveClaim(session_, claim.doubt);
  switch (resolved.fate) {
    case store::Fate::kPending:
      return "a claim's commit is not decided yet; it may wait for a synchronous standby";
    case store::Fate::kOnlyHere:
      return "no synchronous standby acknowledges commits";
    case store::Fate::kAborted:
      return std::nullopt;
    case store::Fate::kCommitted:
      break;
  }
  store::Claimed& claimed = claim.doubt.claimed;
  claimed.owned_since = resolved.owned_since;
  for (ClaimedDeliveryPtr& delivery : claim.deliveries) {
    delivery->Own(claimed);
    if (resolved.in_flight.contains(delivery->row.id)) {
      context_.sender.Send(std::move(delivery));
    } else {
      context_.sender.GiveUp(std::move(delivery));
    }
  }
  CountFinished(claimed);
  return std::nullopt;
}

void Claims::Abandon(ClaimInDoubt claim) {
  log::Error("stopped before it was known whether a claim was committed, none of its calls was sent",
             {{"claim", claim.doubt.claimed.claim_id.get().ToString()}});
  for (ClaimedDeliveryPtr& delivery : claim.deliveries) {
    delivery->Own(claim.doubt.claimed);
    context_.sender.Requeue(std::move(delivery));
  }
}

store::Claimer Claims::NextClaimer() {
  return {.dispatcher = context_.dispatcher,
          .claim_id = context_.claim_ids.Next(),
          .instance = context_.instance,
          .alive_at = context_.alive_at};
}

void Claims::CountFinished(const store::Claimed& claimed) {
  for (const store::FinishedRow& row : claimed.finished) context_.sender.CountFinished(row);
}

}  // namespace postcall::dispatch
