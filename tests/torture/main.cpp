// torture --minutes N [--seed S]: three dispatchers are under load while, at random, they are killed, frozen
// and stopped, and their database fails; then the oracle checks the result. It prints what happened; exit 0
// when there is no violation. The seed repeats the plan, not the timing.
#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <random>

#include "tests/support/oracle.h"
#include "tests/torture/book.h"
#include "tests/torture/chaos.h"
#include "tests/torture/load.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

constexpr int kAgents = 400;
constexpr int kCallsPerSecond = 100;
// A run of some minutes must have done this much to prove anything.
constexpr double kKillsPerMinute = 200 / 30.0;
constexpr double kCallsPerMinute = 100'000 / 30.0;
constexpr double kSomeMinutes = 10;
constexpr auto kSettleWithin =
    90s;  // after the last kill: 30 s until it is noticed, 60 s until it is recorded

// The real length of a long outage; a sixth of a short run.
Steady::duration OutageOf(double minutes) {
  const auto all = std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(minutes * 60));
  return std::min<Steady::duration>(5min, all / 6);
}

void Print(const std::string& title, const pqxx::result& rows) {
  std::cout << title;
  for (const auto& row : rows) {
    std::cout << "  " << row[0].as<std::string>() << ' ' << row[1].as<std::string>();
  }
  std::cout << '\n';
}

class Torture {
 public:
  Torture(double minutes, unsigned seed)
      : minutes_(minutes),
        seed_(seed),
        database_url_(postgres_.CreateMigratedDatabase()),
        database_(Platform(database_url_).Value("SELECT current_database()")),
        fleet_({database_url_,
                "postgresql://postgres@127.0.0.1:" + std::to_string(proxy_.port()) + "/" + database_,
                pgbouncer_.Url(database_)},
               {"--egress-allow", "127.0.0.0/8", "--ca-file", customers_.CaFile()}),
        chaos_({postgres_, database_, database_url_, proxy_, fleet_, customers_, 1}, seed) {
    Platform platform(database_url_);
    customers_.Register(platform, kAgents);
  }

  bool Run() {
    const SteadyTime start = Steady::now();
    const SteadyTime end =
        start + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(minutes_ * 60));
    Load load(database_url_, kAgents, kCallsPerSecond, seed_);
    chaos_.WaitUntil(start + 10s);  // the dispatchers work before the first disturbance
    OutliveAnOutage();
    std::cout << "disturbing\n" << std::flush;
    chaos_.Run(end);
    load.Stop();
    std::cout << "settling\n" << std::flush;
    // For the others, the dispatchers that ended last are dead after 30 s.
    const Oracle oracle(database_url_, customers_.Ledgers());
    const SteadyTime disturbed = Steady::now();
    while (!oracle.IsSettled() && Steady::now() < disturbed + kSettleWithin) {
      chaos_.WaitUntil(Steady::now() + 500ms);
    }
    std::cout << "settled after " << std::chrono::duration<double>(Steady::now() - disturbed).count()
              << " s\n";
    Expect(oracle.IsSettled(), "not every call is over 90 s after the last disturbance");
    chaos_.WaitUntil(Steady::now() + 5s);  // so that the last counts are made
    Report(load.completed());
    CheckItWasTorture(load.completed());
    for (const std::string& violation : oracle.Violations({.killed = true, .stopped = true})) Fail(violation);
    CheckUnknown();
    CheckOutcomes();
    CheckTimes();
    Drain();
    for (const std::string& surprise : fleet_.surprises()) Fail(surprise);
    for (const std::string& surprise : chaos_.surprises()) Fail(surprise);
    return failures_ == 0;
  }

 private:
  void Fail(const std::string& sentence) {
    std::cout << "WRONG: " << sentence << '\n';
    ++failures_;
  }
  void Expect(bool condition, const std::string& otherwise) {
    if (!condition) Fail(otherwise);
  }

  void CheckItWasTorture(int completed) {
    if (minutes_ < kSomeMinutes) return;  // the outage is most of such a run
    Expect(fleet_.kills() >= kKillsPerMinute * minutes_, "too few dispatchers were killed to prove anything");
    Expect(completed >= kCallsPerMinute * minutes_, "too few calls were completed to prove anything");
  }

  // No dispatcher is killed, so no outcome may be lost, however long the database is away.
  void OutliveAnOutage() {
    const auto outage = OutageOf(minutes_);
    std::cout << "the database is away for "
              << std::chrono::duration_cast<std::chrono::seconds>(outage).count() << " s\n"
              << std::flush;
    chaos_.TakeTheDatabaseAway(outage);
    chaos_.WaitUntil(Steady::now() + 20s);
    const std::string unknown =
        Platform(database_url_).Value("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'unknown'");
    Expect(unknown == "0", unknown + " rows became unknown though no dispatcher died");
    Expect(fleet_.kills() == 0, "a dispatcher was killed in the outage");
  }

  // Only a dispatcher that died may leave unknown rows, and at most as many as it had in flight.
  void CheckUnknown() {
    Platform platform(database_url_);
    for (const auto& row : platform.Query("SELECT dispatcher, count(*) FROM webhook_deliveries"
                                          " WHERE outcome = 'unknown' GROUP BY dispatcher")) {
      const auto label = row[0].as<std::string>();
      const auto counted = chaos_.in_flight_at_the_end().find(label);
      const int in_flight = counted == chaos_.in_flight_at_the_end().end() ? 0 : counted->second;
      Expect(row[1].as<int>() <= in_flight, label + " left " + row[1].as<std::string>() +
                                                " rows unknown and had " + std::to_string(in_flight) +
                                                " in flight when it ended");
    }
  }

  // No customer's endpoint may be blamed for the disturbances of the dispatchers.
  void CheckOutcomes() {
    const auto& disturbances = chaos_.disturbances();
    const Blows blows{.frozen = fleet_.frozen(),
                      .connections_closed = disturbances.contains("customers restart")};
    for (const std::string& violation : book_.Violations("call-", blows, customers_.Ledgers()))
      Fail(violation);
    Platform platform(database_url_);
    for (const auto& row :
         platform.Query("SELECT substr(agent_id, 7)::int, outcome, dispatcher,"
                        " coalesce(url, '') LIKE 'https:%', min(call_id), count(*),"
                        " min(concat_ws(', ', error, reached, CASE WHEN connection_reused THEN 'reused' END,"
                        " round(total_ms) || ' ms', claimed_at)) FROM webhook_deliveries"
                        " WHERE call_id LIKE 'call-%' GROUP BY 1, 2, 3, 4")) {
      const auto outcome = row[1].as<std::string>();
      if (customers_.OutcomesOf(row[0].as<int>()).contains(outcome) ||
          blows.Excuse(outcome, row[2].as<std::string>(), row[3].as<bool>())) {
        continue;
      }
      Fail(row[5].as<std::string>() + " calls of agent-" + row[0].as<std::string>() + " by " +
           row[2].as<std::string>() + ", such as " + row[4].as<std::string>() + ", ended as " + outcome +
           ": " + row[6].as<std::string>(""));
    }
  }

  void CheckTimes() {
    Platform platform(database_url_);
    for (const auto& row : platform.Query("SELECT dispatcher, call_id, total_ms FROM webhook_deliveries"
                                          " WHERE outcome <> 'unknown' AND total_ms > 10250")) {
      Expect(fleet_.frozen().contains(row[0].as<std::string>()), row[1].as<std::string>() + " by " +
                                                                     row[0].as<std::string>() + " lasted " +
                                                                     row[2].as<std::string>() + " ms");
    }
  }

  void Report(int completed) {
    Platform platform(database_url_);
    int in_flight = 0;
    for (const auto& [label, count] : chaos_.in_flight_at_the_end()) in_flight += count;
    std::size_t requests = 0;
    std::size_t twice = 0;
    for (const RequestLedger* ledger : customers_.Ledgers()) {
      for (const auto& [call, count] : ledger->RequestsPerCall()) {
        requests += count;
        if (!call.empty() && count > 1) ++twice;
      }
    }
    std::cout << "seed " << seed_ << ", " << minutes_ << " minutes\n"
              << "calls completed " << completed << " and, of the book, expected " << book_.size()
              << ", enqueued " << platform.Value("SELECT count(*) FROM webhook_enqueued")
              << ", requests seen " << requests << '\n'
              << "kills " << fleet_.kills() << ", clean stops " << fleet_.drains() << '\n';
    std::cout << "disturbances";
    for (const auto& [name, count] : chaos_.disturbances()) std::cout << "  " << name << ": " << count;
    std::cout << "\ndescriptors ran out and claims were requeued " << chaos_.requeues() << " times\n";
    Print("outcomes",
          platform.Query("SELECT outcome, count(*) FROM webhook_deliveries GROUP BY 1 ORDER BY 2 DESC"));
    std::cout << "unknown "
              << platform.Value("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'unknown'")
              << ", in flight when dispatchers ended " << in_flight << '\n'
              << "calls seen twice " << twice << ", unaccounted "
              << platform.Value("SELECT unaccounted FROM webhook_reconciliation") << '\n'
              << "longest delivery "
              << platform.Value(
                     "SELECT round(max(total_ms)) FROM webhook_deliveries WHERE outcome <> 'unknown'")
              << " ms (more than 10,250 only where its dispatcher was frozen)\n"
              << std::flush;
  }

  void Drain() {
    for (std::size_t slot = 0; slot < fleet_.size(); ++slot) {
      Expect(fleet_.HasService(slot) && fleet_.At(slot).Get("/readyz").status == 200,
             "slot " + std::to_string(slot) + " is not ready in the end");
      if (fleet_.HasService(slot)) fleet_.Terminate(slot);
    }
    const int before = fleet_.drains();
    const SteadyTime limit = Steady::now() + 12s;
    while (fleet_.drains() < before + static_cast<int>(fleet_.size()) && Steady::now() < limit) {
      std::this_thread::sleep_for(20ms);  // a process has no event to wait for
      fleet_.Reap();
    }
    Expect(fleet_.drains() == before + static_cast<int>(fleet_.size()),
           "not every dispatcher stopped with 0");
  }

  const double minutes_;
  const unsigned seed_;
  int failures_ = 0;
  PrivatePostgres postgres_;
  const std::string database_url_;
  const std::string database_;
  TcpProxy proxy_{postgres_.port()};
  PgBouncer pgbouncer_{postgres_, 8};
  Book book_{database_url_};
  Customers customers_;
  Fleet fleet_;
  Chaos chaos_;
};

}  // namespace
}  // namespace postcall::test

int main(int count, char** words) {
  double minutes = 30;
  unsigned seed = std::random_device()();
  CLI::App app("Three dispatchers under load while everything fails; then the log is checked");
  app.add_option("--minutes", minutes, "how long to disturb, outage included")
      ->check(CLI::Range(0.5, 1440.0));
  app.add_option("--seed", seed, "repeats the plan of an earlier run");
  CLI11_PARSE(app, count, words);
  std::signal(SIGPIPE, SIG_IGN);
  std::cout << "--seed " << seed << '\n' << std::flush;
  postcall::test::Torture torture(minutes, seed);
  const bool well = torture.Run();
  std::cout << (well ? "No violation.\n" : "FAILED\n");
  return well ? 0 : 1;
}
