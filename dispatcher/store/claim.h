// Moves due rows from the outbox to the delivery log, in one transaction that is committed before anything is
// sent: a crash must count as an attempt (CONTRACT §1). Blocks; on the thread that owns the session.
//
//     Pick ──> OpenClaim ── Finish, Read ──> OpenClaim ── Commit ──> Claimed | InDoubt
//       │                        │
//       │                        └──> TooMany | Unreadable
//       └──> Nothing | TooMany | Unreadable
//
// An OpenClaim that ends without its commit is rolled back: its rows are in the outbox as before.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "dispatcher/postgres/database.h"
#include "dispatcher/store/ready_rows.h"
#include "schema/call.h"
#include "schema/ids.h"
#include "schema/outcome.h"

namespace postcall::postgres {
class Transaction;
}

namespace postcall::store {

class AgentSettingsText;
class CallsAsRead;

// A claim of all agents reads for no longer than this. Calls that take longer to read are slow.
inline constexpr std::chrono::milliseconds kReadAtOnce{400};

// Who claims.
struct Claimer {
  DispatcherId dispatcher;
  ClaimId claim_id;  // begins with the first eight bytes of `dispatcher` and is never used twice
  std::string instance;
  SteadyTime alive_at{};  // when this dispatcher's last heartbeat that is committed began
};

// What a claim asks for of one agent.
struct AgentShare {
  AgentId agent_id;
  RowPosition from;           // no ready row of the agent that was seen comes before it
  int max_rows = 0;           // at least 1
  bool is_full_share = true;  // otherwise it is less because the agent has fewer slots
};

struct ClaimLimits {
  int max_rows = 0;
  std::vector<AgentShare> agents;  // in this order
  // When not empty, only rows of these agents are claimed, in this order. Reading them may take seconds.
  std::vector<AgentId> only_agents = {};
  std::int64_t max_bytes = std::int64_t{64} << 20;  // of call data read at once; the first row always comes
  std::chrono::milliseconds read_limit = kReadAtOnce;  // for each read of a claim of all agents
};

// What is used of an agent's settings: its URL, headers and secrets.
struct SettingsAsRead {
  std::string_view json;   // all else left out; empty when too large
  std::int64_t bytes = 0;  // above kMaxAgentSettingsBytes: too large, and not fetched
};

// A due row, locked by its claim.
struct PickedRow {
  DeliveryId id;
  CallId call_id;
  AgentId agent_id;  // empty: the call was removed, and was never read
  Cause cause = Cause::kCompletion;
  DatabaseTime due_at;
  int requeues = 0;  // how often it was requeued

  // Only the claim uses these.
  std::size_t position = 0;        // in the order of the pick
  std::string location;            // of the row in the outbox, while the claim is open
  bool was_unread = false;         // it was postponed because its call could not be read
  bool agent_was_unknown = false;  // until this claim found it
};

// A row that enters the log as in_flight, to be sent after the commit. Refers to what its delivery owns.
struct ToSend {
  const PickedRow* row = nullptr;
  std::string_view url;  // for the log: without user info and query values
};

// A row that enters the log with its final outcome, `reached` nothing.
struct FinishedRow {
  PickedRow row;
  Outcome outcome = Outcome::kSkipped;
  std::string url;  // as for ToSend; empty: none
  std::string error;
};

// No due row is within the limits, or other claims have locked the due rows.
struct Nothing {};

// Some of these rows cannot be read, or not all in time. The next claim must have at most `rows_next` rows.
struct TooMany {
  int rows = 0;
  int rows_next = 0;
};

// This one row cannot be read: a source view raised an error for it, or it takes too long. It is in the
// outbox as before. A claim of all agents steps over its agent from now on; a claim of `only_agents` sets it
// aside (set_aside.h).
struct Unreadable {
  PickedRow row;
  bool timed_out = false;  // it was the time, and not an error
  std::string error;
};

// Where the next pick continues with an agent that this claim looked at.
struct AgentProgress {
  AgentId agent_id;
  std::optional<RowPosition> next;  // none: no row is ready that this claim could lock
};

// Which rows a claim has seen.
struct Walk {
  int rows = 0;  // that were picked and locked
  // The next claim starts after this agent. It is the agent of the last row that was admitted or finished, so
  // that the agents whose rows stayed in the outbox come first then. When all rows stayed, it is that of the
  // last row.
  AgentId last_agent;
  bool more = false;           // a limit of the claim cut it short: there may be more rows that are due
  std::vector<ReadyRow> left;  // the first row of each agent that was picked and stays in the outbox
  // Agents with a row that was postponed because it could not be read. A claim of all agents leaves it in the
  // outbox.
  std::vector<AgentId> unread;
};

// The claim is committed. Without rows nothing was written.
struct Claimed {
  ClaimId claim_id;
  ClockAnchor anchor{};      // `at` is claimed_at of every row of the claim
  SteadyTime owned_since{};  // before the claim proved that this dispatcher lives; see Confirm
  SteadyTime alive_at{};     // Claimer::alive_at, or later when the claim moved the heartbeat
  std::vector<FinishedRow> finished;
};

// The answer to the commit was lost, and the rows are claimed or still in the outbox; or they are claimed,
// but the server gave up its wait for a synchronous standby, and a fail-over may undo the claim. They are not
// sent before ResolveClaim has decided (CONTRACT §4, "Commits in doubt").
struct InDoubt {
  Claimer claimer;
  Claimed claimed;  // what it is, if it is committed
  std::string transaction_id;
};

// Every function may throw Unavailable or Refused; nothing is claimed then.
class OpenClaim {
 public:
  // Locks due rows and reads the settings of their agents.
  //
  // A platform's own view may raise an error for some call, or take seconds: claims with fewer rows find its
  // agent, whose calls are claimed by themselves from then on (ClaimLimits::only_agents).
  static std::variant<OpenClaim, Nothing, TooMany, Unreadable> Pick(postgres::Session& session,
                                                                    Claimer claimer,
                                                                    const ClaimLimits& limits);
  OpenClaim(OpenClaim&& other) noexcept;
  ~OpenClaim();

  // Returns the rows; call it once. Rows that are neither finished nor committed stay in the outbox.
  std::vector<PickedRow> TakeRows() { return std::move(rows_); }
  // Null when the agent was removed. Valid until the claim ends.
  const SettingsAsRead* SettingsOf(const PickedRow& row) const;

  // The row is over with this claim, and nothing is sent.
  void Finish(PickedRow row, Outcome outcome, std::string url, std::string error);

  // Reads the calls of the first of these rows, in their order and up to the limit of bytes. No value: the
  // call was removed. Call it only for rows that found a slot, because reading costs more than the rest of a
  // claim. Valid until the claim ends.
  using Calls = std::span<const std::optional<Call>>;
  std::variant<Calls, TooMany, Unreadable> Read(std::span<const ToSend> admitted);

  // Where the next pick continues, also while this claim is open. Without the rows that it leaves, which are
  // known at its end.
  std::vector<AgentProgress> Progress() const;
  int picked() const { return walk_.rows; }
  // Whether a limit of the claim cut the pick short: there may be more rows that are due.
  bool has_more() const { return walk_.more; }

  // After Read: what the claim has seen when it commits the finished rows and these.
  Walk WalkAfter(std::span<const ToSend> rows) const;

  // Writes the finished rows and these to the log, and commits. Registers the dispatcher again when others
  // have declared it dead meanwhile.
  std::variant<Claimed, InDoubt> Commit(std::span<const ToSend> rows) &&;

 private:
  OpenClaim(std::unique_ptr<postgres::Transaction> transaction, Claimer claimer, const ClaimLimits& limits);
  void NoteShares(const ClaimLimits& limits);
  void NoteTaken(const PickedRow& row);

  // What the claim saw of one agent, in the order of the rows.
  struct Looked {
    AgentId agent_id;
    RowPosition from;
    std::vector<RowPosition> rows;
    bool may_have_more = false;
  };

  Claimer claimer_;
  bool of_all_;            // agents
  bool limits_are_short_;  // those of the transaction's next statement, by kPick
  std::int64_t max_bytes_;
  std::chrono::milliseconds read_limit_;
  std::unique_ptr<postgres::Transaction> transaction_;
  std::vector<PickedRow> rows_;
  std::vector<Looked> shares_;
  std::unique_ptr<AgentSettingsText> settings_;
  std::unique_ptr<CallsAsRead> calls_;
  std::vector<FinishedRow> finished_;
  Walk walk_;
  std::optional<std::size_t> last_taken_;  // the position of the last row that was admitted or finished
};

}  // namespace postcall::store
