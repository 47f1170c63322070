// Tells what is wrong with some rows of a claim from what is wrong with the database: a call that cannot be
// read, or not in time, holds up no other. Used only in this room; on the thread that owns the session.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>
#include <variant>

#include "common/log.h"
#include "dispatcher/store/claim.h"
#include "dispatcher/store/halves.h"

namespace postcall::store {

// When an agent's calls are read alone, a read that took this long took too long, whether the server's limit
// ended it or ours.
inline constexpr std::chrono::seconds kLongRead{2};

using NotRead = std::variant<TooMany, Unreadable>;

template <class Error>
NotRead TellUnreadable(std::span<const PickedRow* const> rows, const Error& error, int rows_next,
                       bool of_all) {
  if (rows_next > 0) {
    log::Warning("calls cannot be read together, fewer are read at once",
                 {{"calls", rows.size()}, {"next", rows_next}, {"error", error.what()}});
    return TooMany{static_cast<int>(rows.size()), rows_next};
  }
  PickedRow row = *rows.front();
  if (of_all) {
    log::Warning("a call cannot be read at once, its agent's calls are read apart from the others",
                 {{"call", row.call_id.get()}, {"agent", row.agent_id.get()}, {"error", error.what()}});
  }
  // The claims step over it by the agent that the outbox has.
  if (row.agent_was_unknown) row.agent_id = AgentId();
  return Unreadable{.row = std::move(row),
                    .timed_out = std::is_same_v<Error, postgres::Unavailable>,
                    .error = error.what()};
}

// Calls `reading` for `rows`, of which there is at least one. No value: they were read; otherwise the
// transaction is over. Throws errors that are not about the rows.
// `of_all`: for a claim of all agents, whose reads the server ends after `read_limit`.
template <class Reading>
std::optional<NotRead> TryReading(std::span<const PickedRow* const> rows, bool of_all,
                                  std::chrono::milliseconds read_limit, Reading&& reading) {
  const SteadyTime start = Steady::now();
  try {
    reading();
    return std::nullopt;
  } catch (const postgres::Refused& refused) {
    if (!IsAboutRows(refused)) throw;
    return TellUnreadable(rows, refused, static_cast<int>(rows.size() / 2), of_all);
  } catch (const postgres::Unavailable& unavailable) {
    // When the read was cancelled or cut off early, its time is not the reason.
    const auto took = Steady::now() - start;
    if (of_all ? took < read_limit || !postgres::IsQueryCanceled(unavailable.sqlstate())
               : took < kLongRead || postgres::IsLockNotAvailable(unavailable.sqlstate()))
      throw;
    return TellUnreadable(rows, unavailable, rows.size() > 1 ? 1 : 0, of_all);
  }
}

}  // namespace postcall::store
