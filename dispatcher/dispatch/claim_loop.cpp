#include "dispatcher/dispatch/claim_loop.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "common/log.h"
#include "dispatcher/store/confirm.h"
#include "dispatcher/store/database_fit.h"
#include "dispatcher/store/liveness.h"

namespace postcall::dispatch {
namespace {

constexpr auto kAskAgainAfter = std::chrono::milliseconds(200);

// How often to check that the database still fits: it may be migrated while we run.
constexpr auto kLookAgain = std::chrono::seconds(15);

// Connecting takes less time than this, so a fault that ends sooner is not logged.
constexpr auto kFaultLasts = std::chrono::seconds(1);

// Claims wait for the first walk for so long.
constexpr auto kFirstWalkAtOnce = std::chrono::milliseconds(100);

}  // namespace

ClaimLoop::ClaimLoop(const postgres::DatabaseOptions& database, int sessions, const ClaimContext& context,
                     SlowReaders& slow_readers, LateDeliveries& late, Progress& progress)
    : session_(database),
      context_(context),
      late_(late),
      plan_(context.admission, slow_readers),
      claiming_(session_, context, plan_, slow_readers, [this] { WakeHelpers(); }),
      worker_(progress, "claim") {
  for (int helper = 1; helper < sessions; ++helper) {
    helpers_.push_back(std::make_unique<ClaimHelper>(
        database, context, plan_, slow_readers, [this] { WakeHelpers(); },
        [this] {
          return helpers_may_claim_ && !context_.recorder.Fault() && !context_.sender.network_fault();
        },
        progress));
  }
  context_.admission.SetWaker([this] {
    worker_.Wake();
    WakeHelpers();
  });
  late_.SetWaker([this] { worker_.Wake(); });
}

ClaimLoop::~ClaimLoop() { Stop(); }

void ClaimLoop::Start() {
  for (const std::unique_ptr<ClaimHelper>& helper : helpers_) helper->Start();
  worker_.Start([this] { Run(); });
}

void ClaimLoop::Drain(SteadyTime deadline) {
  session_.LimitBy(deadline);
  draining_ = true;
  for (const std::unique_ptr<ClaimHelper>& helper : helpers_) helper->Drain(deadline);
  worker_.Wake();
}

void ClaimLoop::Stop() {
  draining_ = true;
  for (const std::unique_ptr<ClaimHelper>& helper : helpers_) helper->Stop();
  worker_.Stop();
  context_.admission.SetWaker(nullptr);
  late_.SetWaker(nullptr);
  session_.Disconnect();
}

std::optional<std::string> ClaimLoop::Fault() const {
  const MutexLock lock(mutex_);
  return fault_;
}

void ClaimLoop::Run() {
  Steady::duration pause{};
  while (worker_.PauseFor(pause)) {
    try {
      const ClaimPace::Ended ended = RunOnce();
      SetFault(std::nullopt);
      pause = plan_.PauseAfter(ended, Steady::now());
    } catch (const std::exception& error) {
      LetHelpersClaim(false);
      Fail(doing_, error);
      pause = ClaimPace::kPauseAfterError;
    }
    connected_ = session_.connected();
  }
}

ClaimPace::Ended ClaimLoop::RunOnce() {
  // In a database that does not fit, too: other dispatchers must not declare this one dead meanwhile.
  if (is_registered_) KeepRows();
  if (Steady::now() - looked_at_ >= kLookAgain) fits_ = false;
  if (!fits_) {
    doing_ = metrics::Operation::kHeartbeat;
    if (const std::optional<std::string> fault = store::FaultOfDatabase(session_))
      throw std::runtime_error(*fault);
    if (!facts_) facts_ = store::ReadDatabaseFacts(session_);
    SendHeartbeat();
    looked_at_ = Steady::now();
    fits_ = true;
    if (!std::exchange(is_registered_, true)) KeepRows();
  }
  doing_ = metrics::Operation::kClaim;
  const bool may_claim = !draining_ && OutcomesCanBeRecorded();
  LetHelpersClaim(may_claim && !context_.sender.network_fault());
  return may_claim ? ClaimOnce() : ClaimPace::Ended::kEmpty;
}

// Before the claim, because a claim that fails again and again must not stop it.
void ClaimLoop::KeepRows() {
  doing_ = metrics::Operation::kHeartbeat;
  if (Steady::now() - context_.alive_at.load() >= store::kHeartbeatEvery) SendHeartbeat();
  doing_ = metrics::Operation::kConfirm;
  ConfirmLate();
}

// A call that is sent must find a connection for its outcome (CONTRACT §4, "Records").
bool ClaimLoop::OutcomesCanBeRecorded() {
  if (std::exchange(recorder_verified_for_, session_.connection_number()) != session_.connection_number()) {
    context_.recorder.VerifyConnection();
  }
  const std::optional<std::string> fault = context_.recorder.Fault();
  if (!fault) {
    recorder_fault_since_ = SteadyTime::max();
    if (std::exchange(said_recorder_fault_, false))
      log::Info("outcomes can be recorded again, claiming continues");
    return true;
  }
  const SteadyTime now = Steady::now();
  recorder_fault_since_ = std::min(recorder_fault_since_, now);
  if (now - recorder_fault_since_ >= kFaultLasts && !std::exchange(said_recorder_fault_, true)) {
    log::Error("outcomes cannot be recorded, claiming stops until they can", {{"error", *fault}});
  }
  return false;
}

ClaimPace::Ended ClaimLoop::ClaimOnce() {
  const std::vector<store::ReadyRow> fed = feed_.Read(session_);
  seen_.insert(seen_.end(), fed.begin(), fed.end());
  if (feed_.TakeMissed()) walk_.Request();
  WalkOn();
  return claiming_.ClaimOnce(seen_, [this](ClaimInDoubt doubt) { Settle(std::move(doubt)); });
}

// Several steps of the first walk follow each other; of the others only one.
void ClaimLoop::WalkOn() {
  const SteadyTime begin = Steady::now();
  SteadyTime start = begin;
  while (walk_.IsDue(start) && start - begin < kFirstWalkAtOnce) {
    const store::WalkedRows walked = store::WalkOutbox(session_, walk_.first_page(), walk_.pages());
    seen_.insert(seen_.end(), walked.rows.begin(), walked.rows.end());
    const SteadyTime end = Steady::now();
    walk_.Note(walked.at_end, end - start, end);
    start = end;
  }
}

// Helpers that may not claim close their connections, because the recorder may need one.
void ClaimLoop::LetHelpersClaim(bool may_claim) {
  if (helpers_may_claim_.exchange(may_claim) && !may_claim) WakeHelpers();
}

void ClaimLoop::WakeHelpers() {
  for (const std::unique_ptr<ClaimHelper>& helper : helpers_) helper->Wake();
}

// The answer to a commit was lost, so the claim may or may not be ours; or no standby acknowledged the
// commit. None of its calls was sent yet; they are sent once the commit is final (CONTRACT §4, "Commits in
// doubt").
void ClaimLoop::Settle(ClaimInDoubt claim) {
  do {
    worker_.NoteProgress();
    try {
      const std::optional<std::string> undecided = claiming_.claims().TrySettle(claim);
      SetFault(undecided);
      if (!undecided) return;
    } catch (const std::exception& error) {
      LetHelpersClaim(false);
      Fail(metrics::Operation::kResolve, error);
    }
  } while (worker_.PauseFor(kAskAgainAfter));
  claiming_.claims().Abandon(std::move(claim));
}

// These deliveries did not start in time after their claim: asks whether their rows are still ours.
void ClaimLoop::ConfirmLate() {
  Deliveries waiting = late_.TakeAll();
  if (waiting.empty()) return;
  std::vector<DeliveryKey> keys;
  keys.reserve(waiting.size());
  for (const ClaimedDeliveryPtr& delivery : waiting) keys.push_back(delivery->key);
  store::Confirmed confirmed;
  try {
    confirmed = store::Confirm(session_, context_.dispatcher, keys);
  } catch (...) {
    late_.PutBack(std::move(waiting));
    throw;
  }
  for (ClaimedDeliveryPtr& delivery : waiting) {
    if (!confirmed.still_ours.contains(delivery->key.id)) {
      context_.sender.GiveUp(std::move(delivery));
      continue;
    }
    delivery->owned_since = confirmed.owned_since;
    delivery->confirmed = true;
    context_.sender.Send(std::move(delivery));
  }
}

void ClaimLoop::SendHeartbeat() {
  const SteadyTime start = Steady::now();
  store::SendHeartbeat(session_, context_.dispatcher, context_.instance);
  context_.alive_at = start;
}

void ClaimLoop::LogConnected() const {
  const auto if_known = [this](std::string store::DatabaseFacts::*fact) {
    return facts_ ? std::optional((*facts_).*fact) : std::nullopt;
  };
  log::Info("connected to the database", {{"database", session_.place()},
                                          {"server", if_known(&store::DatabaseFacts::server)},
                                          {"role", if_known(&store::DatabaseFacts::role)}});
}

void ClaimLoop::SetFault(std::optional<std::string> fault) {
  const MutexLock lock(mutex_);
  if (!fault && fault_) LogConnected();
  std::string_view said;
  if (fault) {
    said = session_.connected() ? "the database cannot be used, nothing new is sent until it can"
                                : "the database is away, nothing new is sent until it is back";
  }
  // Logged once, not at each try; /readyz has the newest reason.
  if (std::exchange(said_, said) != said && fault) log::Error(said, {{"error", *fault}});
  fault_ = std::move(fault);
  context_.metrics.database_connected.Set(fault_ ? 0 : 1);
}

void ClaimLoop::Fail(metrics::Operation operation, const std::exception& error) {
  context_.metrics.database_errors(operation).Increment();
  // For example a lock that another transaction held, or a deadlock: the connection works, so retry.
  if (session_.connected() && dynamic_cast<const postgres::Unavailable*>(&error) != nullptr) {
    log::Warning("a database operation failed, retrying",
                 {{"operation", metrics::ToString(operation)}, {"error", error.what()}});
    return;
  }
  fits_ = false;
  // Otherwise it may be another database by the time that it answers again.
  const bool is_the_same =
      session_.connected() && (operation == metrics::Operation::kClaim ||
                               dynamic_cast<const postgres::DatabaseError*>(&error) == nullptr);
  if (!is_the_same) {
    is_registered_ = false;
    facts_.reset();
  }
  SetFault(error.what());
}

}  // namespace postcall::dispatch
