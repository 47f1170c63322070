#include "dispatcher/store/ready_rows.h"

#include <optional>
#include <string>
#include <utility>

#include "dispatcher/postgres/database_value.h"
#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/transaction_settings.h"

namespace postcall::store {
namespace {

// Makes rows ready whose wait for an analysis is over, the first of them at the moment $1. Every row that
// becomes ready gets a new id, by which the feed finds it.
constexpr const char* kRipen = R"sql(
    UPDATE webhook_outbox
       SET awaits_analysis = false, id = DEFAULT
     WHERE id = ANY (ARRAY(
             SELECT id FROM webhook_outbox
              WHERE awaits_analysis
                AND due_at >= 'epoch'::timestamptz + $1 * interval '1 microsecond'
                AND due_at <= statement_timestamp()
              ORDER BY due_at
              LIMIT 500
                FOR UPDATE SKIP LOCKED))
)sql";

// The first row is not of the outbox. It has the id of this moment, the snapshot, how many transactions have
// begun since number 3, and when the first row became due that is to be made ready, from the moment $3 on.
//
// The moment comes before the snapshot: it is that at which the statement arrived. The count comes after the
// snapshot: age() reads it when it is first called in a transaction, and draws no number itself.
constexpr const char* kFeed = R"sql(
    SELECT ((date_part('epoch'::text, statement_timestamp()) - 1577836800::float8) * 1000000::float8)::bigint
             * 4096::bigint AS id,
           pg_current_snapshot()::text AS agent_id,
           age('3'::xid)::bigint AS due_at,
           (SELECT (extract(epoch FROM o.due_at) * 1000000)::bigint
              FROM webhook_outbox o
             WHERE o.awaits_analysis
               AND o.due_at >= 'epoch'::timestamptz + $3 * interval '1 microsecond'
               AND o.due_at <= statement_timestamp()
             ORDER BY o.due_at
             LIMIT 1) AS first_ripe
     UNION ALL
    (SELECT id, agent_id, (extract(epoch FROM due_at) * 1000000)::bigint, NULL
       FROM webhook_outbox
      WHERE id > $1
        AND NOT awaits_analysis
      ORDER BY id
      LIMIT $2)
)sql";

// The last row is not of the outbox. It has the number of pages.
constexpr const char* kWalk = R"sql(
    SELECT agent_id, (extract(epoch FROM min(due_at)) * 1000000)::bigint AS due_at
      FROM webhook_outbox
     WHERE ctid >= $1::tid
       AND ctid < $2::tid
       AND NOT awaits_analysis
       AND due_at <= statement_timestamp()
     GROUP BY agent_id
     UNION ALL
    SELECT NULL, pg_relation_size('webhook_outbox'::regclass) / current_setting('block_size')::bigint
)sql";

constexpr std::int64_t kMostRows = 10'000;  // of one statement

ReadyRow RowOf(const pqxx::row& row) {
  return {AgentId(std::string(postgres::TextOf(row["agent_id"]))),
          {postgres::MomentOf(row["due_at"]), DeliveryId(row["id"].as<std::int64_t>())}};
}

// The position (ctid) before the first row of a page.
std::string FirstOfPage(std::int64_t page) { return "(" + std::to_string(page) + ",0)"; }

// What the first row of kFeed says.
struct FeedHead {
  std::int64_t mark = 0;
  std::string snapshot;
  std::uint32_t next = 0;  // number of a transaction
  std::optional<DatabaseTime> first_ripe;
};

FeedHead HeadOf(const pqxx::row& row) {
  return {.mark = row["id"].as<std::int64_t>(),
          .snapshot = row["agent_id"].c_str(),
          .next = static_cast<std::uint32_t>(row["due_at"].as<std::int64_t>()) + 3,
          .first_ripe = row["first_ripe"].is_null() ? std::nullopt
                                                    : std::optional(postgres::MomentOf(row["first_ripe"]))};
}

// When an id was drawn.
DatabaseTime MomentOf(std::int64_t id) {
  constexpr DatabaseTime kBegin = std::chrono::sys_days(std::chrono::year(2020) / 1 / 1);
  constexpr std::int64_t kMicrosecond = FeedStart::kSecond / 1'000'000;
  return kBegin + std::chrono::microseconds(id / kMicrosecond);
}

// Returns whether it made rows ready; others may have locked all of them.
bool Ripen(postgres::Session& session, DatabaseTime first) {
  postgres::Transaction transaction(session, kLookUps);
  const bool ripened = transaction.ExecPrepared(kRipen, postgres::ToMicroseconds(first)).affected_rows() > 0;
  transaction.Commit();
  return ripened;
}

}  // namespace

std::vector<ReadyRow> ReadyFeed::Read(postgres::Session& session) {
  std::vector<ReadyRow> rows;
  std::optional<FeedHead> head;
  std::int64_t from = start_.from();
  for (bool more = true; more;) {
    const SteadyTime begin = Steady::now();
    const DatabaseTime ripe_from = ripe_start_.From(begin);
    const pqxx::result read = postgres::Transaction::ExecAlone(session, kLookUps, kFeed, from, kMostRows,
                                                               postgres::ToMicroseconds(ripe_from));
    for (pqxx::result::size_type i = 1; i < read.size(); ++i) rows.push_back(RowOf(read[i]));
    more = static_cast<std::int64_t>(read.size()) > kMostRows;
    if (more) from = rows.back().at.id.get();
    // The first snapshot counts: later ones only show more.
    if (head) continue;
    head = HeadOf(read[0]);
    if (std::exchange(connection_, session.connection_number()) != session.connection_number())
      start_ = FeedStart();
    ripe_start_.Note(head->first_ripe, MomentOf(head->mark), begin, Steady::now());
    if (head->first_ripe && Ripen(session, *head->first_ripe)) more = true;
  }
  start_.Note(head->snapshot, head->next, head->mark);
  return rows;
}

WalkedRows WalkOutbox(postgres::Session& session, std::int64_t first_page, int pages) {
  const std::int64_t end = first_page + pages;
  const pqxx::result read =
      postgres::Transaction::ExecAlone(session, kByPages, kWalk, FirstOfPage(first_page), FirstOfPage(end));
  const auto rows = read.size() - 1;
  WalkedRows walked;
  walked.rows.reserve(static_cast<std::size_t>(rows));
  for (pqxx::result::size_type i = 0; i < rows; ++i) {
    walked.rows.push_back({AgentId(std::string(postgres::TextOf(read[i]["agent_id"]))),
                           {postgres::MomentOf(read[i]["due_at"]), DeliveryId(0)}});
  }
  walked.at_end = end >= read[rows]["due_at"].as<std::int64_t>();
  return walked;
}

}  // namespace postcall::store
