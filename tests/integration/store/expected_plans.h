// What the plans of the store's statements may consist of.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace postcall::store {

struct Expected {
  const char* statement;         // found in its text
  std::set<std::string> any_of;  // it consists of these and no others
};

// Reading a key of an index by a bitmap, or sorting what that finds, is as good. A plan must never scan a
// whole table, or an index that leads to other rows, and never sort all due rows or those of an agent.
inline const std::vector<Expected> kExpected = {
    // claim
    {"AS share (agent_id, due_at, id, max_rows)", {"Index Scan webhook_outbox_ready", "Nested Loop"}},
    {"pg_current_snapshot()::text",
     {"Index Scan webhook_outbox_pkey", "Index Only Scan webhook_outbox_awaiting_due",
      "Index Scan webhook_outbox_awaiting_due"}},
    {"ctid < $2::tid", {"Tid Range Scan webhook_outbox"}},
    {"SET awaits_analysis = false, id = DEFAULT\n     WHERE",
     {"Index Scan webhook_outbox_awaiting_due", "Index Scan webhook_outbox_pkey",
      "Bitmap Index Scan webhook_outbox_pkey"}},
    {"postcall.bytes_read",
     {"Index Scan calls_pkey", "Bitmap Index Scan calls_pkey", "Index Scan caller_details_pkey",
      "Bitmap Index Scan caller_details_pkey", "Index Scan call_analysis_pkey",
      "Bitmap Index Scan call_analysis_pkey", "Nested Loop"}},
    {"::jsonpath)) AS path", {"Index Scan agents_pkey", "Bitmap Index Scan agents_pkey", "Nested Loop"}},
    {"INSERT INTO webhook_dispatchers", {}},
    {"verdict (location, url",
     {"Tid Scan webhook_outbox", "Nested Loop", "Index Scan webhook_dispatchers_pkey",
      "Bitmap Index Scan webhook_dispatchers_pkey"}},
    {"unnest($1::text[]) AS agent", {"Index Scan webhook_outbox_ready", "Nested Loop"}},
    {"unread = times.unread",
     {"Index Scan webhook_outbox_pkey", "Bitmap Index Scan webhook_outbox_pkey", "Nested Loop"}},
    {"AS is_over", {"Index Scan webhook_outbox_pkey", "Bitmap Index Scan webhook_outbox_pkey"}},
    // record
    {"r.response_body",
     {"Index Scan webhook_deliveries_pkey", "Bitmap Index Scan webhook_deliveries_pkey", "Hash Join"}},
    {"free AS MATERIALIZED",
     {"Index Scan webhook_deliveries_pkey", "Bitmap Index Scan webhook_deliveries_pkey", "Hash Join"}},
    {"k.requeues",
     {"Index Scan webhook_deliveries_pkey", "Bitmap Index Scan webhook_deliveries_pkey", "Hash Join"}},
    // confirm, resolve
    {"SELECT d.id\n      FROM unnest",
     {"Index Scan webhook_deliveries_pkey", "Bitmap Index Scan webhook_deliveries_pkey", "Hash Join"}},
    {"SET heartbeats = heartbeats + 1,\n           heartbeat_at = clock_timestamp()\n     WHERE",
     {"Index Scan webhook_dispatchers_pkey", "Bitmap Index Scan webhook_dispatchers_pkey"}},
    {"outcome = 'in_flight' AS in_flight",
     {"Index Scan webhook_deliveries_pkey", "Bitmap Index Scan webhook_deliveries_pkey"}},
    // sweeps; the list of claims has the rows of seconds
    {"The dispatcher died",
     {"Index Scan webhook_claims_pkey", "Bitmap Index Scan webhook_claims_pkey",
      "Index Scan webhook_deliveries_pkey", "Bitmap Index Scan webhook_deliveries_pkey", "Nested Loop"}},
    {"The dispatcher stopped",
     {"Seq Scan webhook_claims", "Index Scan webhook_claims_pkey", "Index Scan webhook_deliveries_pkey",
      "Bitmap Index Scan webhook_deliveries_pkey", "Seq Scan webhook_dispatchers",
      "Index Only Scan webhook_dispatchers_pkey", "Bitmap Index Scan webhook_dispatchers_pkey",
      "Nested Loop"}},
    {"SELECT own.id, (extract(epoch FROM c.claimed_at)",
     {"Index Scan webhook_claims_pkey", "Bitmap Index Scan webhook_claims_pkey",
      "Index Scan webhook_deliveries_pkey", "Bitmap Index Scan webhook_deliveries_pkey", "Nested Loop"}},
    {"EXISTS (SELECT FROM webhook_claims)",
     {"Seq Scan webhook_claims", "Index Only Scan webhook_claims_pkey"}},
    {"DELETE FROM webhook_claims",
     {"Seq Scan webhook_claims", "Index Scan webhook_claims_pkey", "Bitmap Index Scan webhook_claims_pkey",
      "Index Scan webhook_deliveries_pkey", "Bitmap Index Scan webhook_deliveries_pkey", "Nested Loop"}},
    {"lost track of this delivery",
     {"Index Scan webhook_deliveries_pkey", "Bitmap Index Scan webhook_deliveries_pkey", "Nested Loop"}},
    // samples, waits
    {"least(count(*), $1::bigint)", {"Seq Scan webhook_outbox"}},
    {"due_at > statement_timestamp()",
     {"Seq Scan webhook_analysis_hints", "Index Only Scan webhook_outbox_awaiting_due",
      "Index Scan webhook_outbox_awaiting_due"}},
    {"DELETE FROM webhook_analysis_hints",
     {"Seq Scan webhook_analysis_hints", "Tid Scan webhook_analysis_hints", "Sort"}},
    {"SET due_at = least(due_at, clock_timestamp()), awaits_analysis = false, id = DEFAULT\n   WHERE id = "
     "ANY (ARRAY(\n    "
     "       SELECT waiting.id",
     {"Index Scan webhook_outbox_awaiting", "Index Scan webhook_outbox_pkey",
      "Bitmap Index Scan webhook_outbox_pkey", "Nested Loop"}},
    {"SET watched_until = NULL",
     {"Index Scan webhook_outbox_awaiting", "Index Scan webhook_outbox_pkey",
      "Bitmap Index Scan webhook_outbox_pkey", "Nested Loop"}},
    {"SET watched_until = pg_current_xact_id()",
     {"Index Scan webhook_outbox_awaiting_watched", "Index Scan webhook_outbox_pkey",
      "Bitmap Index Scan webhook_outbox_pkey"}},
    {"SET watched_until = '0'",
     {"Index Scan webhook_outbox_awaiting_watched", "Index Scan webhook_outbox_pkey",
      "Bitmap Index Scan webhook_outbox_pkey"}},
    // The primary key is in the same order: at worst one walk of the outbox per second, beside the claims.
    {"t.id % 32",
     {"Index Scan webhook_outbox_pkey", "Index Scan webhook_outbox_awaiting_watched",
      "Index Scan webhook_outbox_awaiting_turn", "Bitmap Index Scan webhook_outbox_awaiting_turn"}},
    {"pg_catalog.num_nonnulls",
     {"Index Only Scan calls_pkey", "Index Scan calls_pkey", "Bitmap Index Scan calls_pkey",
      "Index Scan call_analysis_pkey", "Bitmap Index Scan call_analysis_pkey", "Nested Loop"}},
};

}  // namespace postcall::store
