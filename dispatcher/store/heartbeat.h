// Proof that this dispatcher lives, made inside the transaction that needs it. Used only in this room; on the
// thread that owns the session.
#pragma once

#include <string>

#include "common/clock.h"
#include "dispatcher/postgres/transaction.h"
#include "schema/ids.h"

namespace postcall::store {

struct Heartbeat {
  DatabaseTime at;  // by the database's clock
  std::string transaction_id;
  bool registered;  // by this call: it was not registered before, or not any more
};

// Moves the dispatcher's heartbeat, or registers the dispatcher. An observer that is about to declare it dead
// waits for the end of this transaction, and then sees that the heartbeat moved. An observer that declared it
// dead before has made its rows in flight `unknown`; the rows that this transaction writes are not among
// them.
Heartbeat MoveHeartbeat(postgres::Transaction& transaction, const DispatcherId& dispatcher,
                        const std::string& instance);

}  // namespace postcall::store
