// Proof that this dispatcher lives, made inside the transaction that needs it. Used only in this room; on the
// thread that owns the session.
#pragma once

#include <string>

#include "dispatcher/postgres/transaction.h"
#include "schema/ids.h"

namespace postcall::store {

// Moves the dispatcher's heartbeat, or registers the dispatcher: true when it was not registered before, or
// not any more. An observer that is about to declare it dead skips the row while this transaction has it, and
// sees later that the heartbeat moved. An observer that declared it dead before has made its rows in flight
// `unknown`; the rows that this transaction writes are not among them.
bool MoveHeartbeat(postgres::Transaction& transaction, const DispatcherId& dispatcher,
                   const std::string& instance);

}  // namespace postcall::store
