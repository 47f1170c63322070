// The states that a row of the log can be in, and the reports on them (CONTRACT §4).
#include "tests/integration/migrations/log_database.h"

namespace postcall::test {
namespace {

class LogRow : public LogDatabase {
 protected:
  LogRow() {
    InsertCall("c", "completed");
    Claim("c");
  }

  // The SQLSTATE with which the server refuses a row with these columns; empty when it accepts it.
  std::string Set(const std::string& columns) {
    return db_.Refusal("UPDATE webhook_deliveries SET " + columns);
  }
};

constexpr const char* kRefused = "23514";  // check_violation

TEST_F(LogRow, HasTheColumnsOfTheContractInItsOrder) {
  EXPECT_EQ(
      db_.Value("SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)"
                "  FROM pg_attribute WHERE attrelid = 'webhook_deliveries'::regclass AND attnum > 0"),
      "id bigint, call_id text, agent_id text, cause text, url text, outcome text, reached text, "
      "http_status integer, error text, response_body text, response_truncated boolean, remote_address inet, "
      "connection_reused boolean, certificate_ends_at timestamp with time zone, request_bytes bigint, "
      "response_bytes bigint, enqueued_at timestamp with time zone, due_at timestamp with time zone, "
      "claimed_at timestamp with time zone, finished_at timestamp with time zone, lookup_ms real, connect_ms "
      "real, "
      "tls_ms real, first_byte_ms real, total_ms real, dispatcher text, claim_id uuid");
}

TEST_F(LogRow, InFlightIsNotFinishedAndHasNoResult) {
  EXPECT_EQ(Set("finished_at = now()"), kRefused);
  EXPECT_EQ(Set("reached = 'nothing'"), kRefused);
  EXPECT_EQ(Set("http_status = 200"), kRefused);
  EXPECT_EQ(Set("error = 'x'"), kRefused);
}

TEST_F(LogRow, AFinalOutcomeIsFinished) {
  EXPECT_EQ(Set("outcome = 'timeout', reached = 'connected', error = 'x'"), kRefused);
  EXPECT_EQ(Set("outcome = 'timeout', reached = 'connected', error = 'x', finished_at = now()"), "");
}

TEST_F(LogRow, DeliveredIsASuccessfulResponse) {
  EXPECT_EQ(Set("outcome = 'delivered', finished_at = now(), reached = 'response_complete'"), kRefused);
  EXPECT_EQ(
      Set("outcome = 'delivered', finished_at = now(), reached = 'response_complete', http_status = 301"),
      kRefused);
  EXPECT_EQ(Set("outcome = 'delivered', finished_at = now(), reached = 'request_sent', http_status = 200"),
            kRefused);
  EXPECT_EQ(Set("outcome = 'delivered', finished_at = now(), http_status = 200"), kRefused);
  EXPECT_EQ(Set("outcome = 'delivered', finished_at = now(), reached = 'response_complete', http_status = "
                "204, error = 'x'"),
            kRefused);
  EXPECT_EQ(
      Set("outcome = 'delivered', finished_at = now(), reached = 'response_complete', http_status = 204"),
      "");
}

TEST_F(LogRow, RejectedIsAnyOtherResponse) {
  EXPECT_EQ(Set("outcome = 'rejected', finished_at = now(), reached = 'response_complete'"), kRefused);
  EXPECT_EQ(
      Set("outcome = 'rejected', finished_at = now(), reached = 'response_complete', http_status = 200"),
      kRefused);
  EXPECT_EQ(
      Set("outcome = 'rejected', finished_at = now(), reached = 'response_complete', http_status = 599"), "");
}

TEST_F(LogRow, UnknownDoesNotSayHowFarTheDeliveryGot) {
  EXPECT_EQ(Set("outcome = 'unknown', finished_at = now(), reached = 'request_sent'"), kRefused);
  EXPECT_EQ(Set("outcome = 'unknown', finished_at = now(), error = 'the dispatcher died'"), "");
}

TEST_F(LogRow, NothingWasSentForInvalidSettings) {
  EXPECT_EQ(Set("outcome = 'invalid_settings', finished_at = now(), reached = 'connected'"), kRefused);
  EXPECT_EQ(Set("outcome = 'skipped', finished_at = now(), reached = 'request_sent'"), kRefused);
  EXPECT_EQ(Set("outcome = 'invalid_settings', finished_at = now(), reached = 'nothing'"), "");
}

TEST_F(LogRow, AcceptsNoOtherWords) {
  EXPECT_EQ(Set("outcome = 'lost', finished_at = now(), reached = 'nothing'"), kRefused);
  EXPECT_EQ(Set("outcome = 'timeout', finished_at = now(), reached = 'far'"), kRefused);
  EXPECT_EQ(Set("cause = 'retry'"), kRefused);
  EXPECT_EQ(db_.Refusal("INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at)"
                        " VALUES ('c', 'a', 'retry', now(), now())"),
            kRefused);
}

TEST_F(LogRow, TheOutboxAcceptsOneResendPerCall) {
  const std::string resend =
      "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at)"
      " VALUES ('c', 'agent', 'resend', now(), now())";
  EXPECT_EQ(db_.Refusal(resend), "");
  EXPECT_EQ(db_.Refusal(resend), "23505");
}

TEST_F(LogRow, FailuresAreListedNewestFirstWithTheAgentsName) {
  InsertCall("d", "completed");
  Claim("d");
  Finish("c", "timeout");
  Finish("d", "unknown");
  InsertCall("e", "completed");
  Claim("e");
  Finish("e", "delivered");
  InsertCall("f", "completed");
  Claim("f");
  EXPECT_EQ(
      db_.Value(
          "SELECT string_agg(call_id || ' ' || agent_name || ' ' || outcome, ', ') FROM webhook_failures"),
      "d Agent unknown, c Agent timeout");
  db_.Run("DELETE FROM calls; DELETE FROM agents");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_failures WHERE agent_name IS NULL"), 2);
}

TEST_F(LogRow, HealthIsTheLastHourAndDayOfEachAgent) {
  db_.Run("DELETE FROM webhook_deliveries");
  db_.Run(
      R"(INSERT INTO webhook_deliveries (id, call_id, agent_id, cause, outcome, reached, http_status, error, enqueued_at,
                                             due_at, claimed_at, finished_at, total_ms, dispatcher, claim_id)
             SELECT n, 'h' || n, 'agent', CASE n WHEN 11 THEN 'test' ELSE 'completion' END,
                    CASE WHEN n IN (3, 9, 11) THEN 'timeout' ELSE 'delivered' END, 'response_complete',
                    CASE WHEN n NOT IN (3, 9, 11) THEN 200 END, CASE WHEN n IN (3, 9, 11) THEN 'error ' || n END,
                    at, at, at, at, n * 10, 'test', gen_random_uuid()
               FROM generate_series(1, 11) n,
                    LATERAL (SELECT now() - n * interval '10 minutes' AS at) t)");
  const pqxx::result rows = db_.Run("SELECT * FROM webhook_agent_health");
  ASSERT_EQ(rows.size(), 1U);
  const pqxx::row row = rows[0];
  EXPECT_EQ(row["agent_name"].as<std::string>(), "Agent");
  EXPECT_EQ(row["deliveries_hour"].as<int>(), 5);
  EXPECT_EQ(row["success_rate_hour"].as<double>(), 0.8);
  EXPECT_EQ(row["p50_ms_hour"].as<double>(), 30);
  EXPECT_EQ(row["deliveries_day"].as<int>(), 10);
  EXPECT_EQ(row["success_rate_day"].as<double>(), 0.8);
  EXPECT_EQ(row["p50_ms_day"].as<double>(), 55);
  EXPECT_EQ(row["p95_ms_day"].as<double>(), 95.5);
  EXPECT_EQ(row["last_failure_outcome"].as<std::string>(), "timeout");
  EXPECT_EQ(row["last_failure_error"].as<std::string>(), "error 3");
}

}  // namespace
}  // namespace postcall::test
