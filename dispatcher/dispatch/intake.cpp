#include "dispatcher/dispatch/intake.h"

#include <utility>

#include "schema/payload.h"

namespace postcall::dispatch {
namespace {

// Agents whose parsed settings are remembered, and the bytes of their texts together. What they were parsed
// into takes about as much again.
constexpr std::size_t kMaxDestinations = 20'000;
constexpr std::size_t kMaxRememberedBytes = std::size_t{32} << 20;

}  // namespace

store::Judge Intake::MakeJudge() {
  return {.admit = [this](const store::Candidate& candidate) { return Admit(candidate); },
          .decide = [this](const store::Candidate& candidate) { return Decide(candidate); },
          .give_up = [this](const store::Candidate& candidate) { return GiveUp(candidate); },
          .forget = [this] { Forget(); }};
}

// Within the claim: what becomes of this row? What finds no slot stays in the outbox.
std::variant<store::Leave, store::Read, store::Finish> Intake::Admit(const store::Candidate& candidate) {
  if (candidate.settings == nullptr) {
    return FinishInClaim(candidate, Outcome::kSkipped, "",
                         candidate.agent_id.empty() ? "The call was removed after it was enqueued."
                                                    : "The agent was removed after the call was enqueued.");
  }
  AgentId agent_id{std::string(candidate.agent_id)};
  std::shared_ptr<const Destination> destination = DestinationOf(agent_id, *candidate.settings);
  if (std::holds_alternative<NoTarget>(destination->settings)) {
    return FinishInClaim(candidate, Outcome::kSkipped, "",
                         "The agent's webhook URL was removed after the call was enqueued.");
  }
  if (const auto* invalid = std::get_if<InvalidTarget>(&destination->settings)) {
    return FinishInClaim(candidate, Outcome::kInvalidUrl, invalid->url_for_log, invalid->error);
  }

  Admission::Ticket slot;
  if (!admission_.TryAdmit(agent_id, destination->endpoint, Steady::now(), slot)) return store::Leave{};
  auto delivery = std::make_unique<ClaimedDelivery>();
  delivery->key.id = candidate.id;
  delivery->call_id = CallId(std::string(candidate.call_id));
  delivery->agent_id = std::move(agent_id);
  delivery->cause = candidate.cause;
  delivery->due_at = candidate.due_at;
  delivery->returns = candidate.returns;
  delivery->destination = std::move(destination);
  delivery->slot = slot;
  admitted_.push_back(std::move(delivery));
  return store::Read{};
}

// The call of the row that was admitted first is read: is it to be sent?
std::variant<store::Leave, store::Send, store::Finish> Intake::Decide(const store::Candidate& candidate) {
  ClaimedDeliveryPtr delivery = std::move(admitted_.front());
  admitted_.pop_front();
  if (candidate.call == nullptr) {
    admission_.Release(delivery->slot, /*counts=*/false, Steady::now());
    return FinishInClaim(candidate, Outcome::kSkipped, delivery->destination->target().url_for_log,
                         "The call was removed after it was enqueued.");
  }
  delivery->body = BuildPayload(*candidate.call);
  if (!admission_.TryHoldBody(delivery->slot, static_cast<std::int64_t>(delivery->body.size()))) {
    admission_.Release(delivery->slot, /*counts=*/false, Steady::now());
    return store::Leave{};
  }
  held_.Add({&delivery->key.id, 1});
  store::Send send{delivery->destination->target().url_for_log};
  prepared_.push_back(std::move(delivery));
  return send;
}

// What the database said of it is in the service's log; it may quote the call.
store::Finish Intake::GiveUp(const store::Candidate& candidate) {
  return FinishInClaim(candidate, Outcome::kNotSent, "",
                       "Nothing was sent: the call could not be read from the database.");
}

store::Finish Intake::FinishInClaim(const store::Candidate& candidate, Outcome outcome, std::string url,
                                    std::string error) {
  finished_by_claim_.push_back({outcome, candidate.cause, CallId(std::string(candidate.call_id)),
                                AgentId(std::string(candidate.agent_id)), url, error});
  return {outcome, std::move(url), std::move(error)};
}

// Settings are parsed when they are new or have changed, not for each call.
std::shared_ptr<const Destination> Intake::DestinationOf(const AgentId& agent,
                                                         const store::SettingsAsRead& settings) {
  const auto found = destinations_.find(agent);
  if (found != destinations_.end() && found->second.text == settings.json && !settings.json.empty())
    return found->second.destination;

  auto destination = std::make_shared<Destination>();
  if (settings.bytes > kMaxAgentSettingsBytes) {
    destination->settings = TooLargeAgentSettings(settings.bytes);
    return destination;  // not remembered: all that are too large have the same text, none
  }
  destination->settings = ParseAgentSettings(settings.json);
  if (const auto* target = std::get_if<Target>(&destination->settings))
    destination->endpoint = target->url.Endpoint();
  Remember(agent, settings.json, destination);
  return destination;
}

void Intake::Remember(const AgentId& agent, std::string_view text,
                      std::shared_ptr<const Destination> destination) {
  if (destinations_.size() >= kMaxDestinations || remembered_bytes_ + text.size() > kMaxRememberedBytes) {
    destinations_.clear();
    remembered_bytes_ = 0;
  }
  Parsed& parsed = destinations_[agent];
  remembered_bytes_ += text.size();
  remembered_bytes_ -= parsed.text.size();
  parsed = {std::string(text), std::move(destination)};
}

Intake::Taken Intake::Take(const store::Claimed& claimed) {
  ForgetAdmitted();
  for (const ClaimedDeliveryPtr& delivery : prepared_) {
    delivery->key.claimed_at = claimed.anchor.at;
    delivery->key.claim_id = claimed.claim_id;
    delivery->claimed = claimed.anchor;
    delivery->fence = claimed.fence;
  }
  return {std::exchange(prepared_, {}), std::exchange(finished_by_claim_, {})};
}

// The claim was not made: its rows are in the outbox as before.
void Intake::Forget() {
  ForgetAdmitted();
  for (const ClaimedDeliveryPtr& delivery : prepared_) {
    held_.Remove({&delivery->key.id, 1});
    admission_.Release(delivery->slot, /*counts=*/false, Steady::now());
  }
  prepared_.clear();
  finished_by_claim_.clear();
}

// The calls of these were too large to be read by the same claim.
void Intake::ForgetAdmitted() {
  for (const ClaimedDeliveryPtr& delivery : admitted_) {
    admission_.Release(delivery->slot, /*counts=*/false, Steady::now());
  }
  admitted_.clear();
}

}  // namespace postcall::dispatch
