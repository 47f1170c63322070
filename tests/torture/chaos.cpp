#include "tests/torture/chaos.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <thread>
#include <utility>

#include "tests/support/sanitizers.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

// A text by which the statements of a claim are recognised.
const std::string kClaim = "INSERT INTO webhook_deliveries";
const std::string kRecord = "r.response_body";

// Other dispatchers write `unknown` only after 30 s without a heartbeat, and the last heartbeat is at most 5
// s old.
constexpr auto kNoneIsDeadBefore = "20 s";

// A connection that is lost at the very end of a stop is not made again.
constexpr auto kTooLateToConnect = 3s;

// After this time the server has noticed that a client is dead, and the client's transaction has ended.
constexpr auto kServerNoticed = 2s;

}  // namespace

Chaos::Chaos(World world, unsigned seed)
    : world_(std::move(world)),
      random_(seed),
      whims_(world_.database_url, world_.customers.GoodUrls(), random_) {
  kinds_ = {
      {"kill -9", 80, [this] { return Kill(); }},
      {"kill -9 at a commit", 20, [this] { return KillAtACommit(); }},
      {"SIGTERM", 5, [this] { return Terminate(); }},
      {"SIGSTOP, SIGCONT", 2, [this] { return Freeze(); }},
      {"a connection cut at a commit", 12, [this] { return CutACommit(); }},
      {"PostgreSQL crashes", 3, [this] { return CrashTheDatabase(); }},
      {"PostgreSQL away", 2, [this] { return StopTheDatabase(); }},
      {"connections terminated", 6, [this] { return SignalBackends("pg_terminate_backend"); }},
      {"statements cancelled", 6, [this] { return SignalBackends("pg_cancel_backend"); }},
      {"the log locked", 2, [this] { return LockTheLog(); }},
      {"the proxy passes nothing on", 2, [this] { return Stall(); }},
      {"the proxy cuts all", 4,
       [this] {
         world_.proxy.CutAll();
         connections_hit_at_ = Steady::now();
         return true;
       }},
      {"customers restart", 4,
       [this] {
         world_.customers.CloseConnections();
         return true;
       }},
      {"a transaction left open", 6, [this] { return HoldATransaction(); }},
      {"descriptors run out", 10, [this] { return TakeDescriptors(); }},
      {"a wrong wall clock", 5, [this] { return SetAWrongClock(); }},
  };
  for (const Whims::Whim& whim : whims_.Kinds()) {
    kinds_.push_back({"platform: " + whim.name, 4, [this, whim] { return Indulge(whim); }});
  }
}

void Chaos::Run(SteadyTime end) {
  while (Steady::now() < end) {
    WaitUntil(std::min(end, Steady::now() + Between(300, 2200)));
    Disturb();
  }
  // Ends all disturbances that have not ended yet.
  while (!agenda_.empty()) {
    const auto action = agenda_.extract(agenda_.begin());
    action.mapped()();
  }
  WaitUntil(Steady::now() + 2 * kServerNoticed);
}

void Chaos::TakeTheDatabaseAway(Steady::duration length) {
  world_.postgres.Stop(PrivatePostgres::StopMode::kImmediate);
  database_up_ = false;
  WaitUntil(Steady::now() + length);
  world_.postgres.Start();
  database_up_ = true;
  healthy_since_ = Steady::now();
}

void Chaos::WaitUntil(SteadyTime moment) {
  while (Steady::now() < moment) {
    std::this_thread::sleep_for(20ms);  // the run's own clock
    Turn();
  }
}

void Chaos::Turn() {
  while (!agenda_.empty() && agenda_.begin()->first <= Steady::now()) {
    const auto action = agenda_.extract(agenda_.begin());
    action.mapped()();
  }
  if (starved_) starved_at_ = Steady::now();
  if (const int faults = world_.proxy.faults(); std::exchange(faults_, faults) != faults) {
    connections_hit_at_ = Steady::now();
  }
  world_.fleet.Reap();
  JudgeStops();
  CountWhatWasInFlight();
  for (std::size_t slot = 0; slot < world_.fleet.size(); ++slot) {
    if (!world_.fleet.HasService(slot)) world_.fleet.Start(slot);
  }
}

void Chaos::After(Steady::duration length, std::function<void()> action) {
  agenda_.emplace(Steady::now() + length, std::move(action));
}

Steady::duration Chaos::Between(int least_ms, int most_ms) {
  return std::chrono::milliseconds(std::uniform_int_distribution<int>(least_ms, most_ms)(random_));
}

std::size_t Chaos::AnySlot() { return random_() % world_.fleet.size(); }

void Chaos::Disturb() {
  const int total = std::accumulate(kinds_.begin(), kinds_.end(), 0,
                                    [](int sum, const Disturbance& kind) { return sum + kind.weight; });
  int drawn = std::uniform_int_distribution<int>(0, total - 1)(random_);
  for (const Disturbance& kind : kinds_) {
    drawn -= kind.weight;
    if (drawn >= 0) continue;
    if (kind.begin()) ++disturbances_[kind.name];
    return;
  }
}

void Chaos::CountWhatWasInFlight() {
  if (!DatabaseIsHealthy()) return;
  const SteadyTime settled = Steady::now() - kServerNoticed;
  if (healthy_since_ > settled) return;
  for (const Fleet::Gone& gone : world_.fleet.TakeUncounted(settled)) {
    in_flight_at_the_end_[gone.label] =
        std::stoi(world_.postgres.Execute("SELECT count(*) FROM webhook_deliveries WHERE dispatcher = '" +
                                              gone.label + "' AND outcome IN ('in_flight', 'unknown')",
                                          world_.database));
    if (world_.fleet.frozen().contains(gone.label) || cut_off_.contains(gone.label)) continue;
    const std::string early = world_.postgres.Execute(
        "SELECT count(*) FROM webhook_deliveries WHERE dispatcher = '" + gone.label +
            "' AND outcome = 'unknown' AND finished_at < to_timestamp(" +
            std::to_string(std::chrono::duration<double>(gone.wall.time_since_epoch()).count()) +
            ") + interval '" + kNoneIsDeadBefore + "'",
        world_.database);
    if (early != "0")
      surprises_.push_back(early + " rows of " + gone.label + " became unknown while it lived");
  }
}

// Exit 1 says that outcomes could not be recorded. That is allowed only when the dispatcher could not reach
// the database.
void Chaos::JudgeStops() {
  for (const Fleet::Unrecorded& stop : world_.fleet.TakeUnrecorded()) {
    const bool excused = !DatabaseIsHealthy() || healthy_since_ >= stop.from || starved_at_ >= stop.from ||
                         connections_hit_at_ >= Steady::now() - kTooLateToConnect ||
                         world_.fleet.frozen().contains(stop.label) || cut_off_.contains(stop.label);
    if (!excused)
      surprises_.push_back(stop.label + " stopped with 1 though the database was there:\n" + stop.log);
  }
}

bool Chaos::Kill() {
  const std::size_t slot = AnySlot();
  if (!world_.fleet.HasService(slot)) return false;
  world_.fleet.KillFrom(slot);
  return true;
}

bool Chaos::KillAtACommit() {
  if (!world_.fleet.IsUp(world_.proxied) || stalled_) return false;
  world_.proxy.FailNextCommit(
      random_() % 2 == 0 ? CommitFault::kCutBeforeRequest : CommitFault::kCutBeforeAnswer,
      random_() % 2 == 0 ? kClaim : kRecord, [this] { world_.fleet.KillFrom(world_.proxied); });
  return true;
}

bool Chaos::Terminate() {
  const std::size_t slot = AnySlot();
  if (!world_.fleet.IsUp(slot)) return false;
  world_.fleet.Terminate(slot);
  return true;
}

bool Chaos::Freeze() {
  const std::size_t slot = AnySlot();
  if (frozen_ || !world_.fleet.IsUp(slot)) return false;
  frozen_ = true;
  world_.fleet.Freeze(slot);
  After(Between(5'000, 90'000), [this, slot] {
    world_.fleet.Thaw(slot);
    frozen_ = false;
  });
  return true;
}

bool Chaos::CutACommit() {
  if (stalled_) return false;
  constexpr std::array kFaults = {CommitFault::kCutBeforeRequest, CommitFault::kCutBeforeAnswer,
                                  CommitFault::kCutAfterAnswer};
  world_.proxy.FailNextCommit(kFaults[random_() % kFaults.size()], random_() % 2 == 0 ? kClaim : kRecord);
  return true;
}

bool Chaos::CrashTheDatabase() {
  if (!DatabaseIsHealthy()) return false;
  world_.postgres.Restart(PrivatePostgres::StopMode::kImmediate);
  healthy_since_ = Steady::now();
  return true;
}

bool Chaos::StopTheDatabase() {
  if (!DatabaseIsHealthy()) return false;
  world_.postgres.Stop(PrivatePostgres::StopMode::kImmediate);
  database_up_ = false;
  After(Between(2'000, 30'000), [this] {
    world_.postgres.Start();
    database_up_ = true;
    healthy_since_ = Steady::now();
  });
  return true;
}

bool Chaos::SignalBackends(const std::string& function) {
  if (!database_up_) return false;
  connections_hit_at_ = Steady::now();
  world_.postgres.Execute("SELECT " + function +
                          "(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                          " AND application_name LIKE 'd%'");
  return true;
}

bool Chaos::LockTheLog() {
  if (!DatabaseIsHealthy()) return false;
  locker_ = std::make_unique<pqxx::connection>(world_.database_url);
  pqxx::nontransaction(*locker_).exec("BEGIN; LOCK TABLE webhook_deliveries IN ACCESS EXCLUSIVE MODE");
  After(Between(1'000, 20'000), [this] {
    locker_.reset();
    healthy_since_ = Steady::now();
  });
  return true;
}

bool Chaos::Stall() {
  if (stalled_) return false;
  stalled_ = true;
  cut_off_.insert(world_.fleet.LabelAt(world_.proxied));
  world_.proxy.Stall(true);
  After(Between(1'000, 20'000), [this] {
    world_.proxy.Stall(false);
    stalled_ = false;
    healthy_since_ = Steady::now();
  });
  return true;
}

bool Chaos::HoldATransaction() {
  if (open_ || !database_up_) return false;
  try {
    open_ = whims_.Open();
  } catch (const pqxx::failure&) {
    return false;  // PostgreSQL is still in recovery
  }
  After(Between(5'000, 60'000), [this, commit = random_() % 2 == 0] {
    try {
      if (commit) open_->Commit();
    } catch (const pqxx::failure&) {
      // PostgreSQL crashed in the meantime and rolled it back, or its answer is lost; the book knows which.
    }
    open_.reset();
  });
  return true;
}

bool Chaos::TakeDescriptors() {
  const std::size_t slot = AnySlot();
  if (starved_ || !world_.fleet.IsUp(slot) ||
      !world_.fleet.Starve(slot, static_cast<unsigned>(random_() % 6)))
    return false;
  starved_ = true;
  // This is shorter than twenty requeues take. After twenty, a call would end as `not_sent`.
  After(Between(2'000, 8'000), [this, slot] {
    if (world_.fleet.Feed(slot)) ++requeues_;
    starved_ = false;
  });
  return true;
}

bool Chaos::SetAWrongClock() {
  const std::size_t slot = AnySlot();
  if (kSanitized || !world_.fleet.IsUp(slot)) return false;
  world_.fleet.StartNextWith(slot, (random_() % 2 == 0 ? ahead_ : behind_).Environment());
  world_.fleet.Terminate(slot);
  return true;
}

bool Chaos::Indulge(const Whims::Whim& whim) {
  if (!database_up_) return false;
  try {
    whims_.Act(whim);
  } catch (const pqxx::failure&) {
    // Transactions that were committed before stay committed, and the book says so.
  }
  return true;
}

}  // namespace postcall::test
