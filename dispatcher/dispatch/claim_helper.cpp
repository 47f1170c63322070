#include "dispatcher/dispatch/claim_helper.h"

#include <optional>
#include <utility>

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
  worker_.RequestStop();
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
      said_.clear();
    } catch (const std::exception& error) {
      pause = ClaimPace::kPauseAfterError;
      context_.metrics.database_errors(metrics::Operation::kClaim).Increment();
      // When the database is away, the claim loop logs it.
      if (session_.connected() || may_claim_())
        Log("one of several claims at a time failed, the others go on", error.what());
    }
  }
}

Steady::duration ClaimHelper::RunOnce() {
  if (!may_claim_()) {
    session_.Disconnect();  // the others may need its connection on the server
    return kPauseWithoutWork;
  }
  if (!plan_.has_large_claim()) {
    if (Steady::now() - claimed_at_ >= kStayConnected) session_.Disconnect();
    return kPauseWithoutWork;
  }
  const ClaimPace::Ended ended =
      claiming_.ClaimOnce({}, [this](ClaimInDoubt doubt) { Settle(std::move(doubt)); });
  claimed_at_ = Steady::now();
  return ended == ClaimPace::Ended::kCutShort ? Steady::duration(0) : kPauseWithoutWork;
}

// As ClaimLoop::Settle (CONTRACT §4, "Commits in doubt").
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
