// The last part of a claim: its rows leave the outbox and enter the log. Used only in this room; on the
// thread that owns the session.
#pragma once

#include <chrono>
#include <span>
#include <variant>
#include <vector>

#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/claim.h"

namespace postcall::store {

// The limit for one statement of a claim of all agents. It is longer than the lock_timeout, so that a lock is
// reported as one.
inline constexpr std::chrono::seconds kManyRowsLimit{4};

// Writes the rows, at least one, and commits. Throws Refused when a row does not exist any more although this
// claim has locked it.
std::variant<Claimed, InDoubt> WriteClaim(postgres::Transaction& transaction, const Claimer& claimer,
                                          std::span<const ToSend> to_send, std::vector<FinishedRow> finished);

}  // namespace postcall::store
