#include "dispatcher/dispatch/slow_lane.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "common/log.h"
#include "dispatcher/dispatch/allotment.h"

namespace postcall::dispatch {
namespace {

// The most bytes of call data per read: they must cross the network within a statement's limit.
constexpr std::int64_t kMaxBytes = std::int64_t{64} << 20;

constexpr auto kPauseAfterClaim = std::chrono::milliseconds(5);
constexpr auto kPauseWithoutRows = std::chrono::milliseconds(250);
constexpr auto kPauseAfterError = std::chrono::milliseconds(500);

// A commit that is under way when the dispatcher stops may take this long; a read is cut off.
constexpr auto kStopWithin = std::chrono::seconds(1);

}  // namespace

SlowLane::SlowLane(const postgres::DatabaseOptions& database, const ClaimContext& context,
                   SlowReaders& readers, std::function<bool()> may_claim, Progress& progress)
    : session_(database),
      context_(context),
      readers_(readers),
      may_claim_(std::move(may_claim)),
      claims_(session_, context),
      worker_(progress, "slow calls") {}

SlowLane::~SlowLane() { Stop(); }

void SlowLane::Start() {
  worker_.Start([this] { Run(); });
}

void SlowLane::Drain() {
  session_.LimitBy(Steady::now() + kStopWithin);
  worker_.RequestStop();
}

void SlowLane::Stop() {
  Drain();
  worker_.Stop();
  session_.Disconnect();
}

void SlowLane::Run() {
  Steady::duration pause{};
  while (worker_.PauseFor(pause)) {
    try {
      pause = ClaimOne() ? Steady::duration(kPauseAfterClaim) : kPauseWithoutRows;
      said_.clear();
    } catch (const std::exception& error) {
      pause = kPauseAfterError;
      context_.metrics.database_errors(metrics::Operation::kClaim).Increment();
      // When the database is away, the claims of all agents log it.
      if ((session_.connected() || may_claim_()) && std::exchange(said_, error.what()) != error.what()) {
        log::Warning("claiming a call that is slow to read failed, retrying", {{"error", error.what()}});
      }
    }
  }
}

// False when there was nothing to claim, or no room for it.
bool SlowLane::ClaimOne() {
  const SteadyTime now = Steady::now();
  std::vector<AgentId> readers = readers_.After(last_agent_, now);
  if (readers.empty()) {
    session_.Disconnect();
    return false;
  }
  if (!may_claim_()) {
    session_.Disconnect();  // the others may need its connection on the server
    return false;
  }
  const Admission::Room room = context_.admission.RoomNow(now);
  if (room.slots == 0) return false;
  std::erase_if(readers,
                [&](const AgentId& agent) { return Allotment(context_.admission, now).One(agent, 1) == 0; });
  if (readers.empty()) return false;

  store::ClaimLimits limits;
  limits.max_rows = 1;
  limits.only_agents = std::move(readers);
  limits.max_bytes = std::min(room.body_bytes, kMaxBytes);
  ClaimEnd end = claims_.Make(limits);
  return std::visit([this](auto& each) { return Note(each); }, end);
}

bool SlowLane::Note(const ClaimMade& made) {
  last_agent_ = made.walk.last_agent;
  if (made.taken() == 0) return false;
  if (made.took < store::kReadAtOnce) {
    readers_.NoteRead(last_agent_);
  } else {
    readers_.NoteTrouble(last_agent_, /*proven=*/true, Steady::now());
  }
  return true;
}

bool SlowLane::Note(ClaimInDoubt& doubt) {
  Settle(std::move(doubt));
  return true;
}

bool SlowLane::Note(const store::Nothing&) {
  last_agent_ = AgentId();
  return false;
}

// Never happens: the claim is of one row.
bool SlowLane::Note(const store::TooMany&) { return false; }

bool SlowLane::Note(const store::Unreadable& unreadable) {
  last_agent_ = unreadable.row.agent_id;
  ClaimEnd end = claims_.SetAside(unreadable);
  readers_.NoteTrouble(last_agent_, /*proven=*/true, Steady::now());
  if (auto* doubt = std::get_if<ClaimInDoubt>(&end)) Settle(std::move(*doubt));
  return true;
}

// As ClaimLoop::Settle (CONTRACT §4, "Commits in doubt"), but it ends at once when the dispatcher stops.
void SlowLane::Settle(ClaimInDoubt claim) {
  do {
    worker_.NoteProgress();
    try {
      const std::optional<std::string> undecided = claims_.TrySettle(claim);
      if (!undecided) return;
      LogUndecided(*undecided);
    } catch (const std::exception& error) {
      context_.metrics.database_errors(metrics::Operation::kResolve).Increment();
      LogUndecided(error.what());
    }
  } while (worker_.PauseFor(kPauseAfterError));
  claims_.Abandon(std::move(claim));
}

// Logs each reason once, not at each try.
void SlowLane::LogUndecided(const std::string& why) {
  if (std::exchange(said_, why) == why) return;
  log::Warning("it is not known yet whether a claim was committed, asking again", {{"error", why}});
}

}  // namespace postcall::dispatch
