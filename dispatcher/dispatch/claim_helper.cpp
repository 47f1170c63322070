#include "dispatcher/dispatch/claim_helper.h"

#include <optional>
#include <utility>
#include <vector>

#include "common/log.h"

namespace postcall::dispatch {
namespace {

// Until it is woken.
constexpr auto kPauseWithoutWork = std::chrono::seconds(5);
// It keeps its connection for so long after its last claim.
constexpr auto kStayConnected = std::chrono::seconds(60);
constexpr auto kAskAgainAfter = std::chrono::milliseconds(200);

}  // namespace

ClaimHelper::ClaimHelper(const postgres::DatabaseOptions& database, const ClaimContext& context,
                         ClaimPlan& plan, SlowReaders& slow_readers, UniqueFunction<void()> there_is_more,
                         std::function<bool()> may_claim, Progress& progress)
    : session_(database),
      context_(context),
      plan_(plan),
      may_claim_(std::move(may_claim)),
      claiming_(session_, context, plan, slow_readers, std::move(there_is_more)),
      worker_(progress, "claim helper") {}

ClaimHelper::~ClaimHelper() { Stop(); }

void ClaimHelper::Start() {
  worker_.Start([this] { Run(); });
}

void ClaimHelper::Drain(SteadyTime deadline) {
  session_.LimitBy(deadline);
  draining_ = true;
  worker_.Wake();
}

void ClaimHelper::Stop() {
  worker_.Stop();
  session_.Disconnect();
}

void ClaimHelper::Run() {
  Steady::duration pause = kPauseWithoutWork;
  while (worker_.PauseFor(pause)) {
    try {
      pause = RunOnce();
    } catch (const std::exception& error) {
      retry_at_ = Steady::now() + ClaimPace::kPauseAfterError;
      pause = ClaimPace::kPauseAfterError;
      context_.metrics.database_errors(metrics::Operation::kClaim).Increment();
      // When the database is away, the claim loop logs it.
      if (session_.connected() || may_claim_())
        Log("one of several claims at a time failed, the others go on", error.what());
    }
  }
}

Steady::duration ClaimHelper::RunOnce() {
  const SteadyTime now = Steady::now();
  if (now < retry_at_) return retry_at_ - now;  // it was woken before
  if (draining_ || !may_claim_()) {
    session_.Disconnect();  // the others may need its connection on the server
    return kPauseWithoutWork;
  }
  if (!plan_.has_large_claim()) {
    if (now - claimed_at_ >= kStayConnected) session_.Disconnect();
    return kPauseWithoutWork;
  }
  // Connecting may take seconds, and must not be a part of its turn.
  if (session_.MayBeLost()) session_.KeepConnected();
  std::vector<store::ReadyRow> none;
  const ClaimPace::Ended ended =
      claiming_.ClaimOnce(none, [this](ClaimInDoubt doubt) { Settle(std::move(doubt)); });
  if (ended == ClaimPace::Ended::kCutShort || ended == ClaimPace::Ended::kTook) {
    claimed_at_ = Steady::now();
    said_.clear();
  }
  return ended == ClaimPace::Ended::kCutShort ? Steady::duration(0) : kPauseWithoutWork;
}

// As ClaimLoop::Settle (CONTRACT §4, "Commits in doubt"), but a failure here says nothing about the claim
// loop's connection.
void ClaimHelper::Settle(ClaimInDoubt claim) {
  do {
    worker_.NoteProgress();
    try {
      const std::optional<std::string> undecided = claiming_.claims().TrySettle(claim);
      if (!undecided) return;
      Log("it is not known yet whether a claim was committed, asking again", *undecided);
    } catch (const std::exception& error) {
      context_.metrics.database_errors(metrics::Operation::kResolve).Increment();
      Log("it is not known yet whether a claim was committed, asking again", error.what());
    }
  } while (worker_.PauseFor(kAskAgainAfter));
  claiming_.claims().Abandon(std::move(claim));
}

// Logs each reason once, not at each try.
void ClaimHelper::Log(const char* what, const std::string& why) {
  if (std::exchange(said_, why) == why) return;
  log::Warning(what, {{"error", why}});
}

}  // namespace postcall::dispatch
