// Proof that this dispatcher lives, made inside the transaction that needs it. The room's own; on the thread
// that owns the session.
#pragma once

#include <string>

#include "common/clock.h"
#include "dispatcher/store/transaction.h"
#include "schema/ids.h"

namespace postcall::store {

struct Heartbeat {
  DatabaseTime at;  // the database's clock of the moment
  std::string transaction_id;
  bool registered;  // the dispatcher was not on the list, or no longer
};

// Moves the dispatcher's heartbeat, or puts the dispatcher on the list. Whoever wants to declare it gone
// waits for the end of this transaction, and then finds that the heartbeat moved; whoever did so before has
// turned all that was in flight into `unknown`, and what this transaction writes is not part of that.
Heartbeat MoveHeartbeat(Transaction& transaction, const DispatcherId& dispatcher,
                        const std::string& instance);

}  // namespace postcall::store
