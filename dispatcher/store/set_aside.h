// What becomes of a call that cannot be read even by a claim of its agent alone. Blocks; on the thread that
// owns the session.
#pragma once

#include <string>
#include <variant>

#include "dispatcher/store/claim.h"

namespace postcall::store {

// Postpones the row by 20 s, each time by twice as long. After ten minutes it is claimed, and ends as
// `not_sent` with `error`: the row is among the finished ones then. A row that another dispatcher has by now
// is left alone. Throws Unavailable or Refused; nothing is changed then.
std::variant<Claimed, InDoubt> SetAside(postgres::Session& session, const Claimer& claimer,
                                        const Unreadable& unreadable, std::string error);

}  // namespace postcall::store
