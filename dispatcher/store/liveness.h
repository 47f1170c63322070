// Which dispatchers are alive: this one's heartbeat, the watch over the others, and the sweep of rows in
// flight that no living dispatcher holds (CONTRACT §4, "Dead dispatchers"). A dispatcher is known by its
// random id, never by its label. Blocks; on the thread that owns the session.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "dispatcher/postgres/database.h"
#include "schema/ids.h"
#include "schema/outcome.h"

namespace postcall::store {

// How old a heartbeat becomes before the next: a sixth of Observer::kDeadAfter.
inline constexpr Steady::duration kHeartbeatEvery = std::chrono::seconds(5);

// Moves this dispatcher's heartbeat; the first time, and after another declared it dead, registers it and
// returns true. Confirmations, and claims that find it older than kHeartbeatEvery, move it, too.
bool SendHeartbeat(postgres::Session& session, const DispatcherId& dispatcher, const std::string& instance);

// For a clean exit: deletes the registration. The outcomes must be recorded before.
void Unregister(postgres::Session& session, const DispatcherId& dispatcher);

// A row that was in flight and became `unknown`.
struct Swept {
  DeliveryId id;
  Cause cause;
};

struct DeadDispatcher {
  DispatcherId dispatcher;
  std::string instance;
  std::vector<Swept> unknown;
};

// Watches the heartbeats of the other dispatchers. One is dead when its heartbeat has not moved for 30 s,
// while this observer stayed connected and kept looking.
class Observer {
 public:
  static constexpr Steady::duration kDeadAfter = std::chrono::seconds(30);
  // After a longer pause between two looks, the observer begins again.
  static constexpr Steady::duration kLookAtLeastEvery = std::chrono::seconds(15);

  using Clock = std::function<SteadyTime()>;
  explicit Observer(const DispatcherId& self, Clock clock = Steady::now);

  // To be called about every 5 s. Returns the dispatchers that it declared dead.
  std::vector<DeadDispatcher> Look(postgres::Session& session);

 private:
  struct Sight {
    std::int64_t heartbeats;
    DatabaseTime heartbeat_at;
    SteadyTime since;  // it has not moved since then, or for longer
  };

  DispatcherId self_;
  Clock clock_;
  std::unordered_map<DispatcherId, Sight> sights_;
  SteadyTime last_look_;
  std::uint64_t connection_ = 0;  // the session's connection of the last look; 0: none yet
};

// Whether the sweeps and ForgetClaims below have anything to look at.
bool ClaimsAreOpen(postgres::Session& session);

// Rows in flight for more than 45 s whose dispatcher is not registered become `unknown`: it stopped without
// recording them, or died before another dispatcher saw it.
std::vector<Swept> SweepOrphans(postgres::Session& session);

// Rows that are in flight under this dispatcher for more than 45 s and are not among `held` become `unknown`:
// this process lost track of them. `held` names what is in flight, not yet recorded, or of a claim in doubt.
std::vector<Swept> SweepOwn(postgres::Session& session, const DispatcherId& dispatcher,
                            std::span<const DeliveryId> held);

// Deletes claims of which no row is in flight any more, so that the sweeps need not look at them; returns how
// many. This dispatcher's own are deleted after the longest time that a delivery takes, and those that others
// left behind after a minute.
int ForgetClaims(postgres::Session& session, const DispatcherId& dispatcher);

}  // namespace postcall::store
