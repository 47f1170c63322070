// What becomes of each due row, decided within the claim: finds it a slot, makes its body, or says why there
// is nothing to send. Holds what the claim at work admitted until the claim is made or forgotten. The claim
// thread's own.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "dispatcher/dispatch/admission.h"
#include "dispatcher/dispatch/claimed_delivery.h"
#include "dispatcher/dispatch/held_deliveries.h"
#include "dispatcher/store/claim.h"

namespace postcall::dispatch {

class Intake {
 public:
  struct FinishedByClaim {
    Outcome outcome;
    Cause cause;
    CallId call;
    AgentId agent;
    std::string url_for_log;  // empty: none
    std::string error;
  };
  struct Taken {
    std::vector<ClaimedDeliveryPtr> deliveries;  // each has a slot, a body, and its row's key
    std::vector<FinishedByClaim> finished;
  };

  // Both outlive the intake.
  Intake(Admission& admission, HeldDeliveries& held) : admission_(admission), held_(held) {}

  // For store::Claim; calls into this object.
  store::Judge MakeJudge();

  // What the claim at work took, or may have taken. From then on it is the caller's to send or to end.
  Taken Take(const store::Claimed& claimed);

 private:
  std::variant<store::Leave, store::Read, store::Finish> Admit(const store::Candidate& candidate);
  std::variant<store::Leave, store::Send, store::Finish> Decide(const store::Candidate& candidate);
  store::Finish GiveUp(const store::Candidate& candidate);
  void Forget();
  void ForgetAdmitted();
  store::Finish FinishInClaim(const store::Candidate& candidate, Outcome outcome, std::string url,
                              std::string error);
  std::shared_ptr<const Destination> DestinationOf(const AgentId& agent,
                                                   const store::SettingsAsRead& settings);
  void Remember(const AgentId& agent, std::string_view text, std::shared_ptr<const Destination> destination);

  Admission& admission_;
  HeldDeliveries& held_;

  std::deque<ClaimedDeliveryPtr> admitted_;   // have a slot, and their calls are being read
  std::vector<ClaimedDeliveryPtr> prepared_;  // have a body
  std::vector<FinishedByClaim> finished_by_claim_;

  // What agents' settings were parsed into, while their text stays the same.
  struct Parsed {
    std::string text;
    std::shared_ptr<const Destination> destination;
  };
  std::unordered_map<AgentId, Parsed> destinations_;
  std::size_t remembered_bytes_ = 0;  // of their texts
};

}  // namespace postcall::dispatch
