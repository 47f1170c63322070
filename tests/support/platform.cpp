#include "tests/support/platform.h"

#include <unistd.h>

#include "common/clock.h"

namespace postcall::test {

Platform::Platform(const std::string& database_url) : connection_(database_url) {}

void Platform::AddAgent(const std::string& agent, const std::string& url, const std::string& more_settings) {
  pqxx::work work(connection_);
  work.exec_params(
      "INSERT INTO agents (id, name, settings) VALUES ($1, 'Agent ' || $1,"
      " jsonb_build_object('webhooks', jsonb_build_object('postCall', $2::text) || ('{' || $3 || "
      "'}')::jsonb))",
      agent, url, more_settings);
  work.commit();
}

void Platform::CompleteCalls(const std::string& agent, const std::string& prefix, int count) {
  pqxx::work work(connection_);
  work.exec_params(R"(
    WITH made AS (
      INSERT INTO calls (id, agent_id, status, recording_uri, transcript_uri, started_at, completed_at)
      SELECT $2 || n, $1, 'completed', 'https://storage.example.com/' || n || '.ogg',
             'https://storage.example.com/' || n || '.json', now() - interval '3 minutes', now()
      FROM generate_series(1, $3::int) AS n
      RETURNING id),
    detailed AS (
      INSERT INTO caller_details (call_id, name, phone_number, city, language)
      SELECT id, 'John Smith', '+1-555-123-4567', 'New York', 'English' FROM made)
    INSERT INTO call_analysis (call_id, summary, mood, score, call_outcome, action_items)
    SELECT id, 'Customer called to schedule a demo', 'Positive', 85, 'Demo Scheduled', '{"next": ["send invite"]}'
    FROM made)",
                   agent, prefix, count);
  work.commit();
}

void Platform::CompleteCallsOfAgents(const std::string& agent_prefix, int agents, const std::string& prefix,
                                     int count) {
  pqxx::work work(connection_);
  work.exec_params(
      "INSERT INTO calls (id, agent_id, status)"
      " SELECT $3 || n, $1 || (1 + (n - 1) % $2::int), 'completed' FROM generate_series(1, $4::int) AS n",
      agent_prefix, agents, prefix, count);
  work.commit();
}

pqxx::result Platform::Query(const std::string& sql) {
  pqxx::work work(connection_);
  pqxx::result result = work.exec(sql);
  work.commit();
  return result;
}

std::string Platform::Value(const std::string& sql) {
  const pqxx::result result = Query(sql);
  return result.empty() ? "" : result[0][0].as<std::string>("");
}

bool Platform::WaitForValue(const std::string& sql, const std::string& expected,
                            std::chrono::milliseconds limit) {
  const SteadyTime deadline = Steady::now() + limit;
  while (Value(sql) != expected) {
    if (Steady::now() >= deadline) return false;
    ::usleep(20'000);  // the database has no event to wait for
  }
  return true;
}

std::map<std::string, int> Platform::Outcomes() {
  std::map<std::string, int> outcomes;
  for (const auto& row : Query("SELECT outcome, count(*) FROM webhook_deliveries GROUP BY outcome")) {
    outcomes[row[0].as<std::string>()] = row[1].as<int>();
  }
  return outcomes;
}

bool Platform::WaitUntilSettled(std::chrono::milliseconds limit) {
  return WaitForValue(
      "SELECT NOT EXISTS (SELECT FROM webhook_outbox)"
      " AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE outcome = 'in_flight')",
      "t", limit);
}

}  // namespace postcall::test
