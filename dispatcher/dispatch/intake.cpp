#include "dispatcher/dispatch/intake.h"

#include <optional>
#include <utility>

#include "schema/payload.h"

namespace postcall::dispatch {
namespace {

// The most agents whose parsed settings are remembered, and the most bytes of their texts together. The
// parsed settings take about as much memory again.
constexpr std::size_t kMaxDestinations = 20'000;
constexpr std::size_t kMaxRememberedBytes = std::size_t{32} << 20;

}  // namespace

Deliveries Intake::Admit(store::OpenClaim& claim) {
  Deliveries admitted;
  const SteadyTime now = Steady::now();
  for (store::PickedRow& row : claim.TakeRows()) {
    const store::SettingsAsRead* settings = claim.SettingsOf(row);
    if (settings == nullptr) {
      const char* error = row.agent_id.get().empty() ? "The call was removed after it was enqueued."
                                                     : "The agent was removed after the call was enqueued.";
      claim.Finish(std::move(row), Outcome::kSkipped, "", error);
      continue;
    }
    std::shared_ptr<const Destination> destination = DestinationOf(row.agent_id, *settings);
    if (std::holds_alternative<NoTarget>(destination->settings)) {
      claim.Finish(std::move(row), Outcome::kSkipped, "",
                   "The agent's webhook URL was removed after the call was enqueued.");
      continue;
    }
    if (const auto* invalid = std::get_if<InvalidTarget>(&destination->settings)) {
      claim.Finish(std::move(row), Outcome::kInvalidSettings, invalid->url_for_log, invalid->error);
      continue;
    }
    std::optional<Slot> slot = admission_.TryAdmit(row.agent_id, destination->endpoint, now);
    if (!slot) continue;
    auto delivery = std::make_unique<ClaimedDelivery>();
    delivery->row = std::move(row);
    delivery->destination = std::move(destination);
    delivery->slot = std::move(*slot);
    admitted.push_back(std::move(delivery));
  }
  return admitted;
}

void Intake::AddBodies(store::OpenClaim& claim, Deliveries& admitted, store::OpenClaim::Calls calls) {
  admitted.resize(
      calls.size());  // the calls are those of the first deliveries: the limit of bytes ended the read
  for (std::size_t i = 0; i < calls.size(); ++i) {
    ClaimedDeliveryPtr& delivery = admitted[i];
    if (!calls[i]) {
      claim.Finish(std::move(delivery->row), Outcome::kSkipped, delivery->destination->target().url_for_log,
                   "The call was removed after it was enqueued.");
      delivery.reset();
      continue;
    }
    delivery->body = BuildPayload(*calls[i]);
    if (!delivery->slot.TryHoldBody(static_cast<std::int64_t>(delivery->body.size()))) {
      delivery.reset();
      continue;
    }
    delivery->held = held_.Hold(delivery->row.id);
  }
  std::erase(admitted, nullptr);
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
    return destination;  // not remembered, because settings that are too large have no text to compare
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

}  // namespace postcall::dispatch
