// Why a completed call was not enqueued: the values of webhook_declined's column `reason` (CONTRACT §3, §8).
// Any thread; value types.
#pragma once

#include <array>
#include <string_view>

namespace postcall {

enum class DeclineReason {
  kNoUrl,            // the agent's settings had no URL
  kAgentIdTooLong,   // more than 1024 bytes
  kSwitchedOff,      // webhook_enqueue was called with postcall.enqueue off
  kCompletedUnseen,  // completed before installation or with postcall.enqueue off, and changed later
};

inline constexpr std::array kDeclineReasons = {DeclineReason::kNoUrl, DeclineReason::kAgentIdTooLong,
                                               DeclineReason::kSwitchedOff, DeclineReason::kCompletedUnseen};

// The text in the column and in the metric's label.
constexpr std::string_view ToString(DeclineReason reason) {
  switch (reason) {
    case DeclineReason::kNoUrl:
      return "no_url";
    case DeclineReason::kAgentIdTooLong:
      return "agent_id_too_long";
    case DeclineReason::kSwitchedOff:
      return "switched_off";
    case DeclineReason::kCompletedUnseen:
      return "completed_unseen";
  }
  return "";
}

}  // namespace postcall
