#include "dispatcher/store/heartbeat.h"

#include "common/utf8.h"
#include "dispatcher/postgres/database_value.h"

namespace postcall::store {
namespace {

constexpr const char* kMoveOrRegister = R"sql(
    INSERT INTO webhook_dispatchers AS d (id, instance, started_at, heartbeat_at)
    VALUES ($1::uuid, $2, clock_timestamp(), clock_timestamp())
        ON CONFLICT (id) DO UPDATE
       SET heartbeats = d.heartbeats + 1,
           heartbeat_at = clock_timestamp()
    RETURNING (extract(epoch FROM d.heartbeat_at) * 1000000)::bigint AS at,
              pg_current_xact_id()::text AS transaction_id,
              d.heartbeats = 0 AS registered
)sql";

}  // namespace

Heartbeat MoveHeartbeat(postgres::Transaction& transaction, const DispatcherId& dispatcher,
                        const std::string& instance) {
  const pqxx::result moved =
      transaction.ExecPrepared(kMoveOrRegister, dispatcher.get().ToString(), ToStorableText(instance));
  return {.at = postgres::MomentOf(moved[0]["at"]),
          .transaction_id = moved[0]["transaction_id"].c_str(),
          .registered = moved[0]["registered"].as<bool>()};
}

}  // namespace postcall::store
