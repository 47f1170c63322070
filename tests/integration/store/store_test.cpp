#include "tests/integration/store/store_test.h"

#include <algorithm>

#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "dispatcher/store/set_aside.h"
#include "tests/support/private_postgres.h"
#include "tests/support/tcp_proxy.h"

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

bool StoreTest::WaitForValue(const std::string& sql, const std::string& expected) {
  const SteadyTime deadline = Steady::now() + std::chrono::seconds(20);
  while (Value(sql) != expected) {
    if (Steady::now() >= deadline) return false;
    std::this_thread::yield();
  }
  return true;
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

void StoreTest::MakeLogOlder(const std::string& age) {
  for (const char* table : {"webhook_deliveries", "webhook_claims"})
    Query(std::string("UPDATE ") + table + " SET claimed_at = claimed_at - interval '" + age + "'");
}

void StoreTest::MakeClaimOlder(const DeliveryId& row, const std::string& age) {
  const std::string claim =
      Value("SELECT claim_id FROM webhook_deliveries WHERE id = " + std::to_string(row.get()));
  for (const char* table : {"webhook_deliveries", "webhook_claims"}) {
    Query(std::string("UPDATE ") + table + " SET claimed_at = claimed_at - interval '" + age +
          "' WHERE claim_id = '" + claim + "'");
  }
}

std::string StoreTest::UrlThrough(const test::TcpProxy& proxy) {
  return "postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + platform_.dbname();
}

Starter::Starter(std::string instance) : id_(DispatcherId::Random()), instance_(std::move(instance)) {}

Claimer Starter::NextClaimer() { return {id_, ClaimId::Of(id_, ++claims_), instance_, alive_at_}; }

namespace {

Candidate CandidateOf(const PickedRow& row, const OpenClaim& claim, const std::optional<Call>& call = {}) {
  return {.id = row.id,
          .call_id = row.call_id.get(),
          .agent_id = row.agent_id.get(),
          .cause = row.cause,
          .due_at = row.due_at,
          .requeues = row.requeues,
          .settings = claim.SettingsOf(row),
          .call = call ? &*call : nullptr};
}

void NoteFinished(const Claimed& claimed, Made& made) {
  for (const FinishedRow& row : claimed.finished) made.finished.push_back(row.row.id);
}

Made MadeOf(const TooMany& too_many, const TestLimits& limits) {
  Made made;
  made.last_agent = limits.after;
  made.more = true;
  made.candidates = too_many.rows;
  made.rows_next = too_many.rows_next;
  return made;
}

std::variant<Made, InDoubt> NotRead(postgres::Session& session, const Claimer& claimer,
                                    const TestLimits& limits, const Unreadable& unreadable) {
  Made made;
  made.more = true;
  const AgentId& agent = unreadable.row.agent_id;
  made.unreadable.push_back(agent);
  if (limits.only_agents.empty()) {
    made.timed_out = unreadable.timed_out;
    made.last_agent = unreadable.timed_out ? agent : limits.after;
    return made;
  }
  made.last_agent = agent;
  auto result = SetAside(session, claimer, unreadable, "unreadable");
  if (auto* doubt = std::get_if<InDoubt>(&result)) return std::move(*doubt);
  NoteFinished(std::get<Claimed>(result), made);
  return made;
}

}  // namespace

std::variant<Made, InDoubt> Starter::Claim(postgres::Session& session, const TestLimits& limits,
                                           const Intake& intake) {
  const Claimer claimer = NextClaimer();
  auto picked = OpenClaim::Pick(session, claimer, WithAgents(session, limits));
  if (std::holds_alternative<Nothing>(picked)) {
    Made made;
    made.last_agent = limits.after;
    return made;
  }
  if (const auto* too_many = std::get_if<TooMany>(&picked)) return MadeOf(*too_many, limits);
  if (const auto* row = std::get_if<Unreadable>(&picked)) return NotRead(session, claimer, limits, *row);
  auto claim = std::get<OpenClaim>(std::move(picked));

  std::vector<PickedRow> admitted;
  for (PickedRow& row : claim.TakeRows()) {
    auto verdict = intake.admit(CandidateOf(row, claim));
    if (auto* finish = std::get_if<Finish>(&verdict)) {
      claim.Finish(std::move(row), finish->outcome, finish->url, finish->error);
    } else if (std::holds_alternative<Read>(verdict)) {
      admitted.push_back(std::move(row));
    }
  }
  std::vector<ToSend> to_read;
  for (const PickedRow& row : admitted) to_read.push_back({&row, ""});
  const auto read = claim.Read(to_read);
  if (const auto* too_many = std::get_if<TooMany>(&read)) return MadeOf(*too_many, limits);
  if (const auto* row = std::get_if<Unreadable>(&read)) return NotRead(session, claimer, limits, *row);
  const auto& calls = std::get<OpenClaim::Calls>(read);

  std::vector<std::string> urls(calls.size());
  std::vector<ToSend> to_send;
  Made made;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    auto verdict = intake.decide(CandidateOf(admitted[i], claim, calls[i]));
    if (auto* finish = std::get_if<Finish>(&verdict)) {
      claim.Finish(admitted[i], finish->outcome, finish->url, finish->error);
    } else if (auto* send = std::get_if<Send>(&verdict)) {
      urls[i] = send->url;
      to_send.push_back({&admitted[i], urls[i]});
      made.to_send.push_back(admitted[i].id);
    }
  }
  const Walk walk = claim.WalkAfter(to_send);
  made.candidates = walk.rows;
  made.last_agent = walk.last_agent;
  made.more = walk.more;
  made.unreadable = walk.unread;
  auto result = std::move(claim).Commit(to_send);
  if (auto* doubt = std::get_if<InDoubt>(&result)) return std::move(*doubt);
  const auto& claimed = std::get<Claimed>(result);
  made.claim_id = claimed.claim_id;
  made.anchor = claimed.anchor;
  made.owned_since = claimed.owned_since;
  NoteFinished(claimed, made);
  return made;
}

Made Starter::ClaimAll(postgres::Session& session, int rows) {
  Seen seen;
  auto result = Claim(session, Limits(rows, rows), seen.SendAll());
  if (!std::holds_alternative<Made>(result)) throw std::runtime_error("the claim is in doubt");
  return std::get<Made>(std::move(result));
}

InDoubt Starter::DoubtOf(const Made& made, std::string transaction_id) const {
  InDoubt doubt;
  doubt.claimer = {id_, made.claim_id, instance_};
  doubt.claimed.claim_id = made.claim_id;
  doubt.claimed.anchor = made.anchor;
  doubt.transaction_id = std::move(transaction_id);
  return doubt;
}

Intake IntakeBy(Decide decide) {
  return {.admit = [](const Candidate&) { return Read{}; }, .decide = std::move(decide)};
}

ClaimLimits WithAgents(postgres::Session& session, const TestLimits& limits) {
  ClaimLimits whole = limits;
  if (!limits.only_agents.empty()) return whole;
  ReadyFeed().Read(session);
  constexpr int kAllPages = 1'000'000;
  std::map<AgentId, RowPosition> found;
  for (const ReadyRow& row : WalkOutbox(session, 0, kAllPages).rows) found.emplace(row.agent_id, row.at);
  std::vector<AgentShare> before;
  for (const auto& [agent, first] : found) {
    const auto exception = std::ranges::find(limits.agent_limits, agent, &std::pair<AgentId, int>::first);
    const bool is_full_share = exception == limits.agent_limits.end();
    const AgentShare share{agent, first, is_full_share ? limits.per_agent : exception->second, is_full_share};
    if (share.max_rows > 0) (agent > limits.after ? whole.agents : before).push_back(share);
  }
  whole.agents.insert(whole.agents.end(), before.begin(), before.end());
  return whole;
}

TestLimits Limits(int max_rows, int per_agent, AgentId after) {
  TestLimits limits;
  limits.max_rows = max_rows;
  limits.per_agent = per_agent;
  limits.after = std::move(after);
  return limits;
}

Decide Seen::SendAll() {
  return [this](const Candidate& candidate) -> Verdict {
    ids.push_back(candidate.id);
    calls.emplace_back(candidate.call_id);
    agents.emplace_back(candidate.agent_id);
    return Send{"https://example.com/hook"};
  };
}

DeliveryKey KeyOf(const Made& made, std::size_t row) {
  return {.id = made.to_send.at(row), .claimed_at = made.anchor.at, .claim_id = made.claim_id};
}

DeliveryKey KeyOf(const InDoubt& doubt, const DeliveryId& id) {
  return {.id = id, .claimed_at = doubt.claimed.anchor.at, .claim_id = doubt.claimed.claim_id};
}

std::vector<DeliveryKey> KeysOf(const Made& made) {
  std::vector<DeliveryKey> keys;
  for (std::size_t i = 0; i < made.to_send.size(); ++i) keys.push_back(KeyOf(made, i));
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
