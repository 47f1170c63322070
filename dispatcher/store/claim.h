// Takes due rows out of the outbox and into the delivery log, in one transaction that is committed before
// anything is sent: a crash must count as an attempt (CONTRACT §1). Blocks; on the thread that owns the
// session.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "dispatcher/store/database.h"
#include "schema/call.h"
#include "schema/ids.h"
#include "schema/outcome.h"

namespace postcall::store {

struct ClaimLimits {
  int max_rows = 0;
  int per_agent = 0;                                  // rows of one agent, when it is not named below
  std::vector<std::pair<AgentId, int>> agent_limits;  // exceptions; 0 steps over the agent
  AgentId after;                                      // agents after this one come first, then the others
  std::int64_t max_bytes = std::int64_t{64} << 20;    // of call data read at once; the first row always comes
};

// What is used of an agent's settings: its URL, headers and secrets.
struct SettingsAsRead {
  std::string_view json;   // all else left out; empty when too large
  std::int64_t bytes = 0;  // above kMaxAgentSettingsBytes: too large, and not fetched
};

// A due row, locked by this claim. Views are valid during the judge's call only.
struct Candidate {
  DeliveryId id;
  std::string_view call_id;
  std::string_view agent_id;  // empty: the call is gone, and was never read
  Cause cause = Cause::kCompletion;
  DatabaseTime enqueued_at;
  DatabaseTime due_at;
  int returns = 0;                           // how often it was given back
  int unread = 0;                            // how often it was put off because its call could not be read
  const SettingsAsRead* settings = nullptr;  // none: the agent is gone
  const Call* call = nullptr;                // for `decide` only; none: the call is gone
};

struct Leave {};    // stays in the outbox, free for others once the claim is over
struct Read {};     // to be decided once its call is read
struct Send {       // enters the log as in_flight; to be sent after the commit
  std::string url;  // for the log: without user info and query values
};
struct Finish {  // enters the log with its final outcome, `reached` nothing
  Outcome outcome = Outcome::kSkipped;
  std::string url;  // as for Send; empty: none
  std::string error;
};

// What becomes of each row, before anything is written. Asked twice, so that no call is read in vain: reading
// costs more than everything else about a claim.
struct Judge {
  // For each row, in the order of the claim.
  std::function<std::variant<Leave, Read, Finish>(const Candidate&)> admit;
  // For each row that is to be read, in the same order, up to the limit of bytes. The rows behind it stay in
  // the outbox.
  std::function<std::variant<Leave, Send, Finish>(const Candidate&)> decide;
  // For a row whose call could not be read again and again; only what it was picked with is known.
  std::function<Finish(const Candidate&)> give_up;
  // Nothing of what was admitted and decided since the last claim was claimed.
  std::function<void()> forget;
};

struct Claimed {
  ClaimId claim_id;
  ClockAnchor anchor;                // `at` is claimed_at of every row of the claim
  SteadyTime fence;                  // before the claim proved that this dispatcher lives; see Confirm
  std::vector<DeliveryId> sent;      // the rows judged Send, in the judge's order
  std::vector<DeliveryId> finished;  // the rows judged Finish
  int candidates = 0;                // rows shown to the judge
  AgentId last_agent;  // after whom the next claim starts: of the last row that the judge did not leave at
                       // once, so that those left come first then; of the last one when it left all
  bool more = false;   // a limit of the claim cut it short: there may be more rows that are due
  int rows_next = 0;   // not 0: nothing was claimed, for some of the rows cannot be read, or not all in time;
                       // the next claim takes so many at most
};

// The answer to the commit was lost: the rows are claimed, or still in the outbox, and nobody may send them
// before ResolveClaim has told which (CONTRACT §4, "Commits in doubt").
struct InDoubt {
  Claimed claimed;  // what was claimed, if it was
  std::string transaction_id;
};

// One claim. A platform's own view may raise an error for some call, or a call may be too large to be read in
// time: claims with fewer rows find it, it is put off, by 20 s and each time by twice as long, so that it
// holds up no other, and given up after ten minutes. Registers the dispatcher anew when others took it for
// gone meanwhile. `claim_id` begins with the first eight bytes of `dispatcher` and is never used twice.
// Throws Unavailable or Refused when nothing was claimed. Whenever nothing was claimed, and not when that is
// in doubt, the judge forgets.
std::variant<Claimed, InDoubt> Claim(Session& session, const DispatcherId& dispatcher,
                                     const ClaimId& claim_id, const std::string& instance,
                                     const ClaimLimits& limits, const Judge& judge);

}  // namespace postcall::store
