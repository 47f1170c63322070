// Which agents have rows that are ready: the feed of rows that became ready lately, and a walk over all. A
// claim looks only at these agents, from the position on at which the first such row may be, and so never
// walks over the dead rows of earlier claims, which a snapshot that is open elsewhere (a report, pg_dump)
// keeps in the outbox. Blocks; on the thread that owns the session.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "common/clock.h"
#include "dispatcher/postgres/database.h"
#include "dispatcher/store/feed_start.h"
#include "dispatcher/store/ripe_start.h"
#include "schema/ids.h"

namespace postcall::store {

// The order in which the rows of one agent are claimed.
struct RowPosition {
  DatabaseTime due_at;
  DeliveryId id;

  friend auto operator<=>(const RowPosition&, const RowPosition&) = default;  // NOLINT(modernize-use-nullptr)
};

struct ReadyRow {
  AgentId agent_id;
  RowPosition at;
};

// Every function throws postgres::Unavailable or postgres::Refused; nothing is missed then.
class ReadyFeed {
 public:
  // Rows that became ready since the last call. Rows of transactions that committed late are among them, and
  // some rows come more than once. Also makes rows ready whose wait for an analysis is over.
  std::vector<ReadyRow> Read(postgres::Session& session);

  // As FeedStart::TakeMissed: true when only a walk finds all rows.
  bool TakeMissed() { return start_.TakeMissed(); }

 private:
  FeedStart start_;
  RipeStart ripe_start_;
  std::uint64_t connection_ = 0;  // of the last read; another connection may lead to another server
};

// A step of a walk over the whole outbox, in the order in which its table is stored: the rows in so many
// pages that are ready and due, the first one of each agent. So a step takes as long as its pages, however
// many dead rows there are. A walk finds each row that is ready while it lasts, unless a transaction writes
// it meanwhile.
struct WalkedRows {
  std::vector<ReadyRow> rows;  // `at` is no later than the first row of that agent in these pages
  bool at_end = false;         // there are no more pages
};
WalkedRows WalkOutbox(postgres::Session& session, std::int64_t first_page, int pages);

}  // namespace postcall::store
