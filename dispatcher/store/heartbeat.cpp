#include "dispatcher/store/heartbeat.h"

#include "common/utf8.h"

namespace postcall::store {
namespace {

constexpr const char* kMoveOrRegister = R"sql(
    INSERT INTO webhook_dispatchers AS d (id, instance, started_at, heartbeat_at)
    VALUES ($1::uuid, $2, clock_timestamp(), clock_timestamp())
        ON CONFLICT (id) DO UPDATE
       SET heartbeats = d.heartbeats + 1,
           heartbeat_at = clock_timestamp()
    RETURNING d.heartbeats = 0 AS registered
)sql";

}  // namespace

bool MoveHeartbeat(postgres::Transaction& transaction, const DispatcherId& dispatcher,
                   const std::string& instance) {
  return transaction
      .ExecPrepared(kMoveOrRegister, dispatcher.get().ToString(), ToStorableText(instance))[0]["registered"]
      .as<bool>();
}

}  // namespace postcall::store
