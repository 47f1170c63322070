// Tells what is wrong with some rows of a claim from what is wrong with the database: a call that cannot be
// read, or not in time, holds up no other. The room's own; on the thread that owns the session.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/log.h"
#include "dispatcher/store/claim.h"
#include "dispatcher/store/halves.h"

namespace postcall::store {

// A read that ended after so long was too much, whoever ended it: the server's limit or ours.
inline constexpr std::chrono::seconds kLongRead{2};

// This one row cannot be read: a source view raised an error for it, or it takes too long.
struct Unreadable {
  DeliveryId row;
  std::string call;
  AgentId agent;
  Cause cause;
  int unread;
  std::string error;
};

// Something among several rows cannot be read: to be claimed anew, with fewer of them.
struct TooMany {
  int rows_next;
};

// Throws Unreadable, TooMany, or what is at hand when it is not about the rows.
template <class Error>
[[noreturn]] void TellUnreadable(const std::vector<Candidate>& rows, const Error& error, int rows_next) {
  if (rows_next > 0) {
    log::Warning("calls cannot be read together, fewer are read at once",
                 {{"calls", rows.size()}, {"next", rows_next}, {"error", error.what()}});
    throw TooMany{rows_next};
  }
  const Candidate& row = rows.front();
  throw Unreadable{.row = row.id,
                   .call = std::string(row.call_id),
                   .agent = AgentId(std::string(row.agent_id)),
                   .cause = row.cause,
                   .unread = row.unread,
                   .error = error.what()};
}

// Reads for `rows`. Throws Unreadable or TooMany.
template <class Reading>
auto Reads(const std::vector<Candidate>& rows, const ClaimLimits& limits, Reading&& reading) {
  const SteadyTime start = Steady::now();
  try {
    return reading();
  } catch (const Refused& refused) {
    if (!IsAboutRows(refused)) throw;
    TellUnreadable(rows, refused, static_cast<int>(rows.size() / 2));
  } catch (const Unavailable& unavailable) {
    // Cancelled or cut off at once, it was not for the time that it took.
    if (Steady::now() - start < kLongRead || unavailable.sqlstate() == "55P03") throw;
    TellUnreadable(rows, unavailable, limits.max_rows > 1 ? 1 : 0);
  }
}

}  // namespace postcall::store
