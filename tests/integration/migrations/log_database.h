// A migrated database. A test fills its log as dispatchers would, at any time in the past. One thread.
#pragma once

#include <string>

#include "tests/integration/migrations/platform_database.h"

namespace postcall::test {

class LogDatabase : public PlatformDatabase {
 protected:
  // Makes the partition of the UTC day `days_ago`, unless it exists.
  void MakePartition(int days_ago) {
    db_.Run("SET TIME ZONE 'UTC'");
    const std::string day =
        db_.Value("SELECT to_char(current_date - " + std::to_string(days_ago) + ", 'YYYYMMDD')");
    db_.Run("CREATE TABLE IF NOT EXISTS webhook_deliveries_" + day +
            " PARTITION OF webhook_deliveries FOR VALUES FROM ('" + day + " 00:00:00+00') TO (('" + day +
            " 00:00:00+00')::timestamptz + interval '1 day')");
  }
  bool HasPartition(int days_ago) {
    return db_.True(
        "SELECT EXISTS (SELECT FROM webhook_partitions WHERE day = (now() AT TIME ZONE 'UTC')::date - " +
        std::to_string(days_ago) + ")");
  }

  // Adds a call that was completed and enqueued at `when` (SQL, timestamptz) and waits.
  void EnqueueAt(const std::string& call, const std::string& when) {
    InsertCall(call, "completed");
    db_.Run("UPDATE webhook_enqueued SET enqueued_at = " + when + " WHERE call_id = " + Quote(call));
    db_.Run("UPDATE webhook_outbox SET enqueued_at = " + when + ", due_at = " + when +
            " WHERE call_id = " + Quote(call));
  }

  // Moves the call to the log as a claim does, `after` (SQL, interval) it was enqueued.
  void Claim(const std::string& call, const std::string& after = "interval '1 second'") {
    db_.Run(R"(WITH claimed AS (DELETE FROM webhook_outbox WHERE call_id = )" + Quote(call) +
            " RETURNING *, gen_random_uuid() AS claim_id, enqueued_at + " + after + R"( AS claimed_at),
                    opened AS (INSERT INTO webhook_claims SELECT claim_id, claimed_at FROM claimed)
               INSERT INTO webhook_deliveries (id, call_id, agent_id, cause, outcome, enqueued_at, due_at,
                                               claimed_at, dispatcher, claim_id)
               SELECT id, call_id, agent_id, cause, 'in_flight', enqueued_at, due_at, claimed_at, 'test', claim_id
                 FROM claimed)");
  }

  void Finish(const std::string& call, const std::string& outcome) {
    db_.Run("UPDATE webhook_deliveries SET finished_at = claimed_at + interval '1 second', outcome = " +
            Quote(outcome) + ", reached = CASE WHEN " + Quote(outcome) + " = 'unknown' THEN NULL WHEN " +
            Quote(outcome) +
            " IN ('skipped', 'invalid_settings') THEN 'nothing' ELSE 'response_complete' END" +
            ", http_status = CASE " + Quote(outcome) +
            " WHEN 'delivered' THEN 200 WHEN 'rejected' THEN 500 END, error = CASE WHEN " + Quote(outcome) +
            " <> 'delivered' THEN 'It failed.' END WHERE call_id = " + Quote(call));
  }

  // Writes the late outcome of a row that was `unknown`, as a record does.
  void Resolve(const std::string& call, const std::string& outcome) {
    db_.Run("BEGIN");
    Finish(call, outcome);
    db_.Run(R"(DELETE FROM webhook_summary WHERE NOT final AND hour IN (
                 SELECT date_trunc('hour', enqueued_at, 'UTC') FROM webhook_deliveries WHERE call_id = )" +
            Quote(call) + ")");
    db_.Run("COMMIT");
  }

  // Closes all hours that can be closed. The first call marks the moment; a later call finds that all
  // transactions before that moment are over.
  void CloseHours() {
    db_.Run("SELECT webhook_close_hours()");
    while (db_.Number("SELECT webhook_close_hours()") > 0) {
    }
  }

  bool IsClosed(const std::string& when) {
    return db_.True("SELECT EXISTS (SELECT FROM webhook_summary WHERE hour = date_trunc('hour', " + when +
                    ", 'UTC'))");
  }

  // Returns the columns of webhook_reconciliation that are not 0: "enqueued 3, waiting 1, delivered 2".
  std::string Accounts() {
    return db_.Value(R"(SELECT string_agg(key || ' ' || value, ', ' ORDER BY n)
                          FROM webhook_reconciliation r, json_each_text(row_to_json(r)) WITH ORDINALITY AS e (key, value, n)
                         WHERE value <> '0')");
  }
};

}  // namespace postcall::test
