#include "tests/integration/store/store_test.h"

#include <stdexcept>

#include "tests/support/private_postgres.h"

namespace postcall::store {

StoreTest::StoreTest()
    : url_(test::SharedPostgres().CreateMigratedDatabase()),
      platform_(url_),
      session_({.url = url_, .application_name = "store_test"}) {}

pqxx::result StoreTest::Query(const std::string& sql) {
  pqxx::work work(platform_);
  pqxx::result result = work.exec(sql);
  work.commit();
  return result;
}

std::string StoreTest::Value(const std::string& sql) {
  const pqxx::result result = Query(sql);
  if (result.empty() || result[0][0].is_null()) return "NULL";
  return result[0][0].c_str();
}

void StoreTest::AddAgent(const std::string& agent, const std::string& settings) {
  pqxx::work work(platform_);
  work.exec_params("INSERT INTO agents (id, name, settings) VALUES ($1, $1, $2::jsonb)", agent, settings);
  work.commit();
}

void StoreTest::AddCalls(const std::string& agent, int count, const std::string& prefix) {
  pqxx::work work(platform_);
  work.exec_params(R"sql(
      INSERT INTO calls (id, agent_id, status, recording_uri)
      SELECT $2 || n, $1, 'completed', 's3://recordings/' || $2 || n
        FROM generate_series(1, $3::int) AS n
  )sql",
                   agent, prefix, count);
  work.commit();
}

int StoreTest::Log(const std::string& outcome) {
  return std::stoi(Value("SELECT count(*) FROM webhook_deliveries WHERE outcome = '" + outcome + "'"));
}

Starter::Starter(std::string instance) : instance_(std::move(instance)) {
  Uuid id = Uuid::Random();
  std::fill(id.bytes.begin() + 8, id.bytes.end(), std::uint8_t{0});
  id_ = DispatcherId(id);
}

ClaimId Starter::NextClaimId() {
  Uuid id = id_.get();
  ++claims_;
  for (std::size_t i = 0; i < 8; ++i) id.bytes[15 - i] = static_cast<std::uint8_t>(claims_ >> (8 * i));
  return ClaimId(id);
}

std::variant<Claimed, InDoubt> Starter::Claim(Session& session, const ClaimLimits& limits,
                                              const Judge& judge) {
  return store::Claim(session, id_, NextClaimId(), instance_, limits, judge);
}

Claimed Starter::ClaimAll(Session& session, int rows) {
  Seen seen;
  auto result = Claim(session, Limits(rows, rows), seen.SendAll());
  if (!std::holds_alternative<Claimed>(result)) throw std::runtime_error("the claim is in doubt");
  return std::get<Claimed>(std::move(result));
}

Judge JudgeBy(Decide decide) {
  return {.admit = [](const Candidate&) { return Read{}; },
          .decide = std::move(decide),
          .give_up =
              [](const Candidate&) {
                return Finish{Outcome::kNotSent, "", "unreadable"};
              },
          .forget = [] {}};
}

ClaimLimits Limits(int max_rows, int per_agent, AgentId after) {
  ClaimLimits limits;
  limits.max_rows = max_rows;
  limits.per_agent = per_agent;
  limits.after = std::move(after);
  return limits;
}

Decide Seen::SendAll() {
  return [this](const Candidate& candidate) -> Verdict {
    calls.emplace_back(candidate.call_id);
    agents.emplace_back(candidate.agent_id);
    return Send{"https://example.com/hook"};
  };
}

DeliveryKey KeyOf(const Claimed& claimed, std::size_t row) {
  return {.id = claimed.sent.at(row), .claimed_at = claimed.anchor.at, .claim_id = claimed.claim_id};
}

std::vector<DeliveryKey> KeysOf(const Claimed& claimed) {
  std::vector<DeliveryKey> keys;
  for (std::size_t i = 0; i < claimed.sent.size(); ++i) keys.push_back(KeyOf(claimed, i));
  return keys;
}

Finished Delivered(const DeliveryKey& key) {
  Finished finished;
  finished.key = key;
  finished.finished_at = key.claimed_at + std::chrono::seconds(1);
  finished.result.outcome = Outcome::kDelivered;
  finished.result.reached = Reached::kResponseComplete;
  finished.result.http_status = 200;
  finished.result.response_body = "ok";
  finished.result.request_bytes = 10;
  finished.result.response_bytes = 2;
  finished.result.times.total = 1000;
  return finished;
}

}  // namespace postcall::store
