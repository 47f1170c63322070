// What a claim and a record cost: microseconds per row, in batches, on a private PostgreSQL with fsync on.
//   store_bench [rows] [batch] [--long-transaction | --wrong-moment]
// 200 agents have a backlog, one of them has a third of all rows. --wrong-moment: the tables are full of an
// earlier backlog's dead rows, which an open transaction keeps, and were analysed with three rows left.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "dispatcher/store/claim.h"
#include "dispatcher/store/record.h"
#include "tests/support/private_postgres.h"

namespace postcall::store {
namespace {

constexpr const char* kFill = R"sql(
    SET session_replication_role = replica;
    INSERT INTO agents
    SELECT 'agent-' || lpad(a::text, 4, '0'), 'Agent ' || a,
           jsonb_build_object('webhooks', jsonb_build_object('postCall', 'https://host' || a || '.example.com/hook'))
      FROM generate_series(0, 199) AS a;
    CREATE TEMP TABLE source AS
    SELECT 'call-' || md5(i::text) AS id,
           'agent-' || lpad((CASE WHEN i % 3 = 0 THEN 77 ELSE i % 200 END)::text, 4, '0') AS agent_id
      FROM generate_series(1, $ROWS) AS i;
    INSERT INTO calls
    SELECT id, agent_id, 'completed', 's3://recordings/' || id || '.wav', 's3://transcripts/' || id || '.json', now(), now()
      FROM source;
    INSERT INTO caller_details
    SELECT id, 'Jane Doe', '+15551234567', 'jane.doe@example.com', '2024-01-01T10:00', '12 Long Street, Flat 3',
           '560001', 'Bengaluru', 'Karnataka', 'India', '34', 'female', 'engineer', 'Acme Corp', 'phone', 'evening', 'en'
      FROM source;
    INSERT INTO call_analysis
    SELECT id, repeat('The caller asked about the plan. ', 12), 'positive', 92.5, 'interested', 'lead',
           '["pricing", "support", "upgrade"]', '[{"task": "call back", "when": "tomorrow"}, {"task": "send brochure"}]',
           '{"overall": "positive", "score": 0.91, "segments": [0.1, 0.5, 0.9]}'
      FROM source;
    INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at)
    SELECT id, agent_id, 'completion', clock_timestamp(), clock_timestamp() FROM source;
)sql";

double ServerCpu(pid_t pid) {  // seconds
  std::ifstream schedstat("/proc/" + std::to_string(pid) + "/schedstat");
  double nanoseconds = 0;
  schedstat >> nanoseconds;
  return nanoseconds / 1e9;
}

double ClientCpu() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Cost {
  double wall = 0;
  double client = 0;
  double server = 0;
};

Cost Now(pid_t server) {
  return {std::chrono::duration<double>(Steady::now().time_since_epoch()).count(), ClientCpu(),
          ServerCpu(server)};
}

// The mean of all batches, and the best batch, which shows about what a quiet machine would need.
class Meter {
 public:
  Meter(const char* what, pid_t server) : what_(what), server_(server), begin_(Now(server)) {}

  void Count(std::size_t rows) {
    const Cost now = Now(server_);
    best_ = std::min(best_, (now.wall - last_) / static_cast<double>(rows));
    last_ = now.wall;
    rows_ += rows;
  }
  std::size_t rows() const { return rows_; }

  void Print() const {
    const Cost end = Now(server_);
    const auto each = [&](double seconds) { return seconds * 1e6 / static_cast<double>(rows_); };
    std::printf(
        "%-7s %7zu rows, us a row: wall %6.1f (best batch %5.1f)   server CPU %6.1f   client CPU %6.1f\n",
        what_, rows_, each(end.wall - begin_.wall), best_ * 1e6, each(end.server - begin_.server),
        each(end.client - begin_.client));
  }

 private:
  const char* what_;
  pid_t server_;
  Cost begin_;
  double last_ = begin_.wall;
  double best_ = 1e9;
  std::size_t rows_ = 0;
};

struct ClaimedRows {
  std::vector<PickedRow> rows;
  Claimed by;
};

constexpr const char* kAnalyseAtTheWrongMoment = R"sql(
    UPDATE webhook_outbox SET agent_id = 'agent-' || id % 2000;
    CREATE TABLE backlog AS TABLE webhook_outbox;
    DELETE FROM webhook_outbox;
    DO $$
    BEGIN
      FOR round IN 1..5 LOOP
        INSERT INTO webhook_outbox TABLE backlog;
        DELETE FROM webhook_outbox;
      END LOOP;
    END
    $$;
    INSERT INTO webhook_outbox SELECT * FROM backlog LIMIT 3;
    ANALYZE webhook_outbox;
    DELETE FROM webhook_outbox;
    INSERT INTO webhook_outbox TABLE backlog;
)sql";

void Run(int rows, int batch, bool long_transaction, bool wrong_moment) {
  test::PrivatePostgres postgres({.fsync = true, .settings = {"shared_buffers=512MB", "max_wal_size=4GB"}});
  const std::string url = postgres.CreateMigratedDatabase();
  pqxx::connection platform(url);
  {
    std::string fill = kFill;
    fill.replace(fill.find("$ROWS"), 5, std::to_string(rows));
    pqxx::work work(platform);
    work.exec(fill);
    work.commit();
    pqxx::nontransaction(platform).exec("VACUUM ANALYZE");
    pqxx::nontransaction(platform).exec("CHECKPOINT");
  }
  pqxx::connection other(url);
  std::unique_ptr<pqxx::work> holder;
  if (long_transaction || wrong_moment) {
    holder = std::make_unique<pqxx::work>(other);
    holder->exec("SELECT pg_current_xact_id()");
  }
  if (wrong_moment) {
    pqxx::nontransaction(platform).exec("ALTER TABLE webhook_outbox SET (autovacuum_enabled = off)");
    pqxx::nontransaction(platform).exec(kAnalyseAtTheWrongMoment);
  }

  postgres::Session session({.url = url, .application_name = "store_bench"});
  const DispatcherId dispatcher = DispatcherId::Random();
  std::uint64_t number = 0;
  ClaimLimits limits;
  limits.max_rows = batch;
  constexpr int kAllPages = 1'000'000;
  for (const ReadyRow& row : WalkOutbox(session, 0, kAllPages).rows)
    limits.agents.push_back({row.agent_id, row.at, 50});
  std::int64_t bytes = 0;
  const auto claim = [&]() -> ClaimedRows {
    auto open = std::get<OpenClaim>(
        OpenClaim::Pick(session, {dispatcher, ClaimId::Of(dispatcher, ++number), "bench"}, limits));
    ClaimedRows claimed{open.TakeRows(), {}};
    std::vector<ToSend> to_send;
    for (const PickedRow& row : claimed.rows) to_send.push_back({&row, "https://host77.example.com/hook"});
    const auto calls = std::get<OpenClaim::Calls>(open.Read(to_send));
    for (const std::optional<Call>& call : calls)
      bytes += static_cast<std::int64_t>(call->analysis.summary->size());
    claimed.rows.resize(calls.size());
    to_send.resize(calls.size());
    // The agents that were looked at come last in the next claim.
    const std::vector<AgentProgress> progress = open.Progress();
    limits.agents.erase(limits.agents.begin(),
                        limits.agents.begin() + static_cast<std::ptrdiff_t>(progress.size()));
    for (const AgentProgress& each : progress) {
      if (each.next) limits.agents.push_back({each.agent_id, *each.next, 50});
    }
    claimed.by = std::get<Claimed>(std::move(open).Commit(to_send));
    return claimed;
  };
  std::vector<ClaimedRows> claims;
  claims.push_back(claim());
  const pid_t server = [&] {
    pqxx::nontransaction ask(platform);
    return ask.exec("SELECT pid FROM pg_stat_activity WHERE application_name = 'store_bench'")[0][0]
        .as<int>();
  }();

  Meter claiming("claim", server);
  while (claiming.rows() < static_cast<std::size_t>(rows) / 2) {
    claims.push_back(claim());
    claiming.Count(claims.back().rows.size());
  }
  claiming.Print();

  std::vector<std::vector<Finished>> batches;
  const std::string body =
      R"({"status": "accepted", "id": "0123456789", "message": ")" + std::string(900, 'x') + "\"}";
  for (const ClaimedRows& claimed : claims) {
    auto& finished = batches.emplace_back();
    for (const PickedRow& picked : claimed.rows) {
      Finished& row = finished.emplace_back();
      row.key = {.id = picked.id, .claimed_at = claimed.by.anchor.at, .claim_id = claimed.by.claim_id};
      row.finished_at = claimed.by.anchor.at + std::chrono::milliseconds(300);
      row.result.outcome = Outcome::kDelivered;
      row.result.reached = Reached::kResponseComplete;
      row.result.http_status = 200;
      row.result.response_body = body;
      row.result.remote_address = "203.0.113.7";
      row.result.connection_reused = true;
      row.result.request_bytes = 1200;
      row.result.response_bytes = static_cast<std::int64_t>(body.size());
      row.result.times = {
          .lookup = 1.5, .connect = 20.25, .tls = 40.125, .first_byte = 200.5, .total = 262.375};
    }
  }
  Meter recording("record", server);
  for (const auto& finished : batches) {
    if (!Record(session, finished).lost.empty()) std::abort();
    recording.Count(finished.size());
  }
  recording.Print();
}

}  // namespace
}  // namespace postcall::store

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool long_transaction = !words.empty() && words.back() == "--long-transaction";
  const bool wrong_moment = !words.empty() && words.back() == "--wrong-moment";
  const int rows = !words.empty() ? std::atoi(words[0].c_str()) : 100'000;
  const int batch = words.size() > 1 ? std::atoi(words[1].c_str()) : 500;
  postcall::store::Run(rows, batch, long_transaction, wrong_moment);
}
