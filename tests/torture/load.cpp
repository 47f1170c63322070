#include "tests/torture/load.h"

#include <array>
#include <pqxx/pqxx>
#include <random>

#include "common/clock.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

constexpr int kTurnsPerSecond = 5;

// Each statement completes the calls $1 || n for n from 1 to $2, for $3 agents in turn from the $4-th on.
constexpr std::array<const char*, 3> kCompletions = {
    // The calls are inserted as completed.
    R"sql(INSERT INTO calls (id, agent_id, status)
          SELECT $1 || n, 'agent-' || (1 + ($4::int + n) % $3::int), 'completed' FROM generate_series(1, $2::int) n)sql",
    // An upsert, two times.
    R"sql(WITH born AS (
            INSERT INTO calls (id, agent_id, status)
            SELECT $1 || n, 'agent-' || (1 + ($4::int + n) % $3::int), 'in_progress' FROM generate_series(1, $2::int) n
            ON CONFLICT (id) DO UPDATE SET status = 'in_progress' RETURNING id)
          SELECT count(*) FROM born)sql",
    R"sql(WITH born AS (
            INSERT INTO calls (id, agent_id, status, recording_uri)
            SELECT $1 || n, 'agent-' || (1 + ($4::int + n) % $3::int), 'completed', 'https://storage.example.com/' || n
              FROM generate_series(1, $2::int) n RETURNING id)
          INSERT INTO call_analysis (call_id, summary) SELECT id, 'Wants a demo' FROM born)sql",
};

// Statements that must not send a call again.
constexpr std::array<const char*, 2> kTemptations = {
    "UPDATE calls SET status = 'in_progress' WHERE id IN (SELECT $1 || n FROM generate_series(1, $2::int) n)",
    "UPDATE calls SET status = 'completed' WHERE id IN (SELECT $1 || n FROM generate_series(1, $2::int) n)",
};

}  // namespace

Load::Load(std::string database_url, int agents, int per_second, unsigned seed)
    : database_url_(std::move(database_url)),
      agents_(agents),
      per_second_(per_second),
      thread_([this, seed] { Run(seed); }) {}

void Load::Stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void Load::Run(unsigned seed) {
  std::mt19937 random(seed);
  const int batch = per_second_ / kTurnsPerSecond;
  SteadyTime turn = Steady::now();
  for (int number = 1; !stopping_;) {
    try {
      pqxx::connection connection(database_url_);
      while (!stopping_) {
        std::this_thread::sleep_until(turn);  // the rate
        turn = std::max(turn + 1000ms / kTurnsPerSecond, Steady::now() - 1s);
        const std::string prefix = "call-" + std::to_string(number++) + "-";
        const std::size_t way = random() % kCompletions.size();
        pqxx::work work(connection);
        work.exec_params(kCompletions[way], prefix, batch, agents_, static_cast<int>(random() % 1000));
        if (way == 1) work.exec_params(kTemptations[1], prefix, batch);
        work.commit();
        completed_ += batch;
        if (random() % 4 == 0) {
          for (const char* temptation : kTemptations) {
            pqxx::work flip(connection);
            flip.exec_params(temptation, prefix, batch);
            flip.commit();
          }
        }
      }
    } catch (const pqxx::failure&) {
      std::this_thread::sleep_for(
          100ms);  // the database is away; the ledger says whether the calls are completed
      turn = Steady::now();
    }
  }
}

}  // namespace postcall::test
