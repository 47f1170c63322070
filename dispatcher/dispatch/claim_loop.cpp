#include "dispatcher/dispatch/claim_loop.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <unordered_set>
#include <utility>

#include "common/log.h"
#include "dispatcher/store/database_fit.h"
#include "dispatcher/store/liveness.h"
#include "dispatcher/store/resolve.h"

namespace postcall::dispatch {
namespace {

constexpr int kFewRows = 32;

// Of call data read at once, however much may be held: it must cross the network within a statement's limit.
constexpr std::int64_t kMaxBytes = std::int64_t{64} << 20;

// After a claim that took something; lets a few rows come together. An idle poll costs the server well under
// 0.1 ms, so the longest pause is short.
constexpr auto kShortestPause = std::chrono::milliseconds(5);
constexpr auto kLongestPause = std::chrono::milliseconds(100);
constexpr auto kPauseWhileFull = std::chrono::milliseconds(20);
constexpr auto kPauseAfterError = std::chrono::milliseconds(500);
constexpr auto kAskFateAgain = std::chrono::milliseconds(200);

// How often to look whether the database still fits: it may be migrated while we run.
constexpr auto kLookAgain = std::chrono::seconds(15);

// A sixth of the 30 s after which others take a dispatcher for gone (CONTRACT §4).
constexpr auto kBeatEvery = std::chrono::seconds(5);

}  // namespace

ClaimLoop::ClaimLoop(const store::DatabaseOptions& database, DispatcherId dispatcher, std::string instance,
                     Admission& admission, metrics::Metrics& metrics, Pulse& pulse, Spine spine)
    : session_(database),
      dispatcher_(dispatcher),
      instance_(std::move(instance)),
      admission_(admission),
      metrics_(metrics),
      beat_(pulse.Add("claim")),
      spine_(std::move(spine)) {}

ClaimLoop::~ClaimLoop() { Stop(); }

void ClaimLoop::Start() {
  thread_ = std::thread([this] { Run(); });
}

void ClaimLoop::Drain(SteadyTime deadline) {
  session_.LimitBy(deadline);
  const std::lock_guard lock(mutex_);
  draining_ = true;
  woken_ = true;
  wake_.notify_one();
}

void ClaimLoop::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    draining_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

std::vector<ClaimedDeliveryPtr> ClaimLoop::TakeUnconfirmed() {
  const std::lock_guard lock(mutex_);
  return std::exchange(to_confirm_, {});
}

void ClaimLoop::SignOff() {
  try {
    store::Unregister(session_, dispatcher_);
  } catch (const std::exception& error) {
    log::Debug("could not sign off, others will notice", {{"error", error.what()}});
  }
}

void ClaimLoop::Wake() {
  if (slots_wanted_.load(std::memory_order_relaxed) <= 0) return;
  if (slots_wanted_.fetch_sub(1, std::memory_order_relaxed) != 1) return;
  const std::lock_guard lock(mutex_);
  woken_ = true;
  wake_.notify_one();
}

void ClaimLoop::ConfirmFirst(ClaimedDeliveryPtr delivery) {
  const std::lock_guard lock(mutex_);
  to_confirm_.push_back(std::move(delivery));
  woken_ = true;
  wake_.notify_one();
}

DatabaseStatus ClaimLoop::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void ClaimLoop::Run() {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    beat_.Turned(Steady::now());
    try {
      Turn();
      SetStatus(true, "");
    } catch (const std::exception& error) {
      Fail(doing_, error);
      pause_ = kPauseAfterError;
    }
    Pause(pause_);
  }
}

void ClaimLoop::Turn() {
  if (Steady::now() - looked_at_ >= kLookAgain) fits_ = false;
  if (!fits_) {
    doing_ = metrics::Operation::kHeartbeat;
    if (const std::optional<std::string> fault = store::FaultOfDatabase(session_))
      throw std::runtime_error(*fault);
    store::Beat(session_, dispatcher_, instance_);
    beaten_at_ = looked_at_ = Steady::now();
    fits_ = true;
  }
  doing_ = metrics::Operation::kHeartbeat;
  BeatIfDue();  // before the claim: one that fails again and again must not keep it from moving
  doing_ = metrics::Operation::kConfirm;
  ConfirmWaiting();
  bool draining = false;
  {
    const std::lock_guard lock(mutex_);
    draining = draining_;
  }
  doing_ = metrics::Operation::kClaim;
  const bool claimed = !draining && ClaimOnce();
  // When no slot is free for what is due, until half of those that are taken are free, for a claim costs as
  // much for one row as for fifty, and the network is busy meanwhile. Otherwise straight on while there is
  // more, and a little longer each time that there is nothing.
  slots_wanted_.store(0, std::memory_order_relaxed);
  if (full_ && !draining) {
    slots_wanted_.store(std::max(1, admission_.in_flight() / 2), std::memory_order_relaxed);
    pause_ = kPauseWhileFull;
  } else if (claimed) {
    pause_ = more_ ? Steady::duration(0) : kShortestPause;
  } else {
    pause_ = std::clamp<Steady::duration>(2 * pause_, kShortestPause, kLongestPause);
  }
}

// True when rows were taken, or some cannot be read, so that there may be more.
bool ClaimLoop::ClaimOnce() {
  full_ = false;
  // What is over and not in the log is in memory only: there is never more of it than may be in flight.
  if (spine_.unrecorded() > static_cast<std::size_t>(admission_.limit())) return false;
  const Admission::Room room = admission_.RoomFor(rows_per_agent_, Steady::now());
  full_ = room.slots == 0;
  if (full_) return false;

  store::ClaimLimits limits;
  limits.max_rows = std::min({room.slots, rows_wanted_, rows_readable_});
  limits.per_agent = rows_per_agent_;
  limits.agent_limits = room.exceptions;
  limits.after = last_agent_;
  limits.max_bytes = std::min(room.body_bytes, kMaxBytes);

  const std::size_t agents = admission_.agents();
  const SteadyTime start = Steady::now();
  const std::variant<store::Claimed, store::InDoubt> result =
      store::Claim(session_, dispatcher_, NextClaimId(), instance_, limits, spine_.judge);
  if (const auto* doubt = std::get_if<store::InDoubt>(&result)) {
    Settle(*doubt);
    return true;
  }
  const auto& claimed = std::get<store::Claimed>(result);
  more_ = claimed.more;
  if (claimed.rows_next > 0) {
    rows_readable_ = claimed.rows_next;
    return true;
  }
  const std::size_t taken = claimed.sent.size() + claimed.finished.size();
  if (taken > 0) {
    beaten_at_ = start;  // a claim is a heartbeat
    metrics_.claim_duration.Observe(Seconds(Steady::now() - start));
    metrics_.claim_batch_size.Observe(static_cast<double>(taken));
    spine_.send(claimed);
    rows_readable_ = std::min(kMaxRows, rows_readable_ + std::max(1, rows_readable_ / 4));
  }
  last_agent_ = claimed.last_agent;

  // Rows an agent and claim: as few as fill the claim, so that the many agents come before the backlog of
  // one.
  const bool full = claimed.candidates >= limits.max_rows;
  if (full) {
    rows_per_agent_ = std::max(1, rows_per_agent_ / 2);
  } else if (claimed.more) {
    rows_per_agent_ = std::min(kMaxRows, rows_per_agent_ * 2);
  }
  // Rows a claim: those that then find no slot, because many agents share an endpoint, were locked in vain.
  // While most are left and were of agents that nobody knew, the next claims step over these: straight on
  // then, in longer strides, until the walk has seen all.
  const int used = static_cast<int>(taken);
  const std::size_t learned = std::max(admission_.agents(), agents) - agents;
  if (2 * used < claimed.candidates && 2 * learned > static_cast<std::size_t>(claimed.candidates)) {
    rows_wanted_ = std::min(kMaxRows, 2 * rows_wanted_);
    more_ = true;
    return true;
  }
  rows_wanted_ = used < claimed.candidates ? std::max(kFewRows, used)
                                           : std::min(kMaxRows, rows_wanted_ + rows_wanted_ / 4);
  full_ = used < claimed.candidates || (taken == 0 && !room.exceptions.empty());
  return taken > 0;
}

// The answer to a commit was lost: the claim may or may not be ours. Nothing of it was sent; what committed
// is sent now (CONTRACT §4, "Commits in doubt").
void ClaimLoop::Settle(const store::InDoubt& doubt) {
  metrics_.database_errors(metrics::Operation::kClaim).Increment();
  log::Warning("the answer to a claim's commit was lost, asking for its fate",
               {{"claim", doubt.claimed.claim_id.get().ToString()}});
  while (true) {
    beat_.Turned(Steady::now());
    try {
      store::Resolved resolved = store::ResolveClaim(session_, dispatcher_, instance_, doubt);
      SetStatus(true, "");
      switch (resolved.fate) {
        case store::Fate::kPending:
          break;
        case store::Fate::kAborted:
          spine_.judge.forget();
          return;
        case store::Fate::kCommitted: {
          store::Claimed claimed = doubt.claimed;
          claimed.sent = std::move(resolved.in_flight);
          claimed.fence = resolved.fence;
          spine_.send(claimed);
          return;
        }
      }
    } catch (const std::exception& error) {
      Fail(metrics::Operation::kResolve, error);
    }
    Pause(kAskFateAgain);
    {
      const std::lock_guard lock(mutex_);
      if (!stopping_) continue;
    }
    log::Error("stopped before a claim's fate was known, none of its calls was sent",
               {{"claim", doubt.claimed.claim_id.get().ToString()}});
    spine_.abandon(doubt.claimed);  // frees slots, and so may Wake
    return;
  }
}

// A delivery that could not start within the time that its claim vouches for: is its row still ours?
void ClaimLoop::ConfirmWaiting() {
  std::vector<ClaimedDeliveryPtr> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting = std::move(to_confirm_);
    to_confirm_.clear();
  }
  if (waiting.empty()) return;
  std::vector<DeliveryKey> keys;
  keys.reserve(waiting.size());
  for (const ClaimedDeliveryPtr& delivery : waiting) keys.push_back(delivery->key);
  store::Confirmed confirmed;
  try {
    confirmed = store::Confirm(session_, dispatcher_, keys);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    std::ranges::move(waiting, std::back_inserter(to_confirm_));
    throw;
  }
  const std::unordered_set<DeliveryId> still(confirmed.still.begin(), confirmed.still.end());
  const auto lost = std::stable_partition(
      waiting.begin(), waiting.end(),
      [&](const ClaimedDeliveryPtr& delivery) { return still.contains(delivery->key.id); });
  std::vector<ClaimedDeliveryPtr> never_sent(std::make_move_iterator(lost),
                                             std::make_move_iterator(waiting.end()));
  waiting.erase(lost, waiting.end());
  for (const ClaimedDeliveryPtr& delivery : waiting) delivery->fence = confirmed.fence;
  spine_.resume(std::move(waiting));
  spine_.lost(never_sent);
}

void ClaimLoop::BeatIfDue() {
  const SteadyTime now = Steady::now();
  if (now - beaten_at_ < kBeatEvery) return;
  store::Beat(session_, dispatcher_, instance_);
  beaten_at_ = now;
}

void ClaimLoop::SetStatus(bool connected, std::string reason) {
  const std::lock_guard lock(mutex_);
  if (connected && !status_.connected) log::Info("connected to the database");
  std::string_view fault;
  if (!connected) {
    fault = session_.connected() ? "the database cannot be used, nothing new is sent until it can"
                                 : "the database is away, nothing new is sent until it is back";
  }
  // Said once, not at each try; /readyz has the newest reason.
  if (std::exchange(said_, fault) != fault && !connected) log::Error(fault, {{"error", reason}});
  status_ = {connected, std::move(reason)};
  metrics_.database_connected.Set(connected ? 1 : 0);
}

void ClaimLoop::Fail(metrics::Operation operation, const std::exception& error) {
  metrics_.database_errors(operation).Increment();
  if (operation == metrics::Operation::kClaim) rows_readable_ = 1;  // a claim of one has more time
  // A lock that was not to be had, a deadlock: the connection stands, and another time it will do.
  if (session_.connected() && dynamic_cast<const store::Unavailable*>(&error) != nullptr) {
    log::Warning("the database could not do this now, it is tried again",
                 {{"operation", metrics::ToString(operation)}, {"error", error.what()}});
    return;
  }
  fits_ = false;  // it may be another database by the time that it answers again
  SetStatus(false, error.what());
}

void ClaimLoop::Pause(Steady::duration length) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, length, [this] { return woken_ || stopping_; });
  woken_ = false;
}

// The dispatcher's eight bytes, then a count (see schema/ids.h).
ClaimId ClaimLoop::NextClaimId() {
  Uuid id = dispatcher_.get();
  std::uint64_t count = ++claims_;
  for (std::size_t i = id.bytes.size(); i > 8; --i) {
    id.bytes[i - 1] = static_cast<std::uint8_t>(count & 0xff);
    count >>= 8;
  }
  return ClaimId(id);
}

}  // namespace postcall::dispatch
