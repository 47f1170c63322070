#include "dispatcher/store/set_aside.h"

#include <utility>
#include <vector>

#include "common/log.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/transaction_settings.h"
#include "dispatcher/store/write_claim.h"

namespace postcall::store {
namespace {

// A row whose call cannot be read is postponed by 20 s, 40 s and so on: `unread` times so far, together by
// 20 * (2^unread - 1) seconds. It ends after ten minutes; the time from due to claimed counts, too.
constexpr const char* kLock = R"sql(
    SELECT ctid AS location,
           unread > 0
             AND 20 * (2 ^ unread - 1) + extract(epoch FROM clock_timestamp() - due_at) >= 600 AS is_over
      FROM webhook_outbox
     WHERE id = $1
       FOR UPDATE SKIP LOCKED
)sql";

constexpr const char* kPostpone = R"sql(
    UPDATE webhook_outbox o
       SET due_at = clock_timestamp() + interval '10 seconds' * 2 ^ times.unread, unread = times.unread
      FROM (SELECT w.id,
                   CASE WHEN w.unread = 0 THEN 1
                        ELSE 1 + floor(log(2, (2 ^ w.unread + extract(epoch FROM clock_timestamp() - w.due_at) / 20)::numeric))
                   END::smallint AS unread
              FROM webhook_outbox w
             WHERE w.id = $1) AS times
     WHERE o.id = times.id
)sql";

}  // namespace

std::variant<Claimed, InDoubt> SetAside(postgres::Session& session, const Claimer& claimer,
                                        const Unreadable& unreadable, std::string error) {
  const PickedRow& row = unreadable.row;
  postgres::Transaction transaction(session, kLookUps);
  const pqxx::result locked = transaction.Exec(kLock, row.id.get());
  if (locked.empty()) return Claimed{};  // it is another dispatcher's by now
  const bool is_last = locked[0][1].as<bool>();
  log::Error(is_last ? "a call could not be read for ten minutes, it ends as not_sent"
                     : "a call cannot be read and is tried again later",
             {{"call", row.call_id.get()}, {"error", unreadable.error}});
  if (!is_last) {
    transaction.Exec(kPostpone, row.id.get());
    transaction.Commit();
    return Claimed{};
  }
  FinishedRow over{row, Outcome::kNotSent, "", std::move(error)};
  over.row.location = locked[0][0].c_str();
  std::vector<FinishedRow> finished;
  finished.push_back(std::move(over));
  return WriteClaim(transaction, claimer, {}, std::move(finished));
}

}  // namespace postcall::store
