// Who lives: this dispatcher's heartbeat, the watch over the others, and the sweep of rows that nobody holds
// any more (CONTRACT §4, "Gone dispatchers"). Liveness goes by the dispatcher's random id, never by its
// label. Blocks; on the thread that owns the session.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "dispatcher/store/database.h"
#include "schema/ids.h"
#include "schema/outcome.h"

namespace postcall::store {

// Proves that this dispatcher lives; the first time, and when others took it for gone, by registering it.
// Returns true when it was registered. At least every 10 s; claims and confirmations beat as well.
bool Beat(Session& session, const DispatcherId& dispatcher, const std::string& instance);

// A clean exit: takes the dispatcher off the list. Its rows must be recorded before.
void Unregister(Session& session, const DispatcherId& dispatcher);

// A row that was in flight and became `unknown`.
struct Swept {
  DeliveryId id;
  Cause cause;
};

struct Gone {
  DispatcherId dispatcher;
  std::string instance;
  std::vector<Swept> unknown;
};

// Watches the heartbeats of the other dispatchers. One that has not moved for 30 s, during all of which this
// observer was connected and looking, is gone.
class Observer {
 public:
  static constexpr Steady::duration kGoneAfter = std::chrono::seconds(30);
  // Looks that are further apart do not count as one watch.
  static constexpr Steady::duration kLookAtLeastEvery = std::chrono::seconds(15);

  using Clock = std::function<SteadyTime()>;
  explicit Observer(const DispatcherId& self, Clock clock = Steady::now);

  // One look; about every 5 s. Returns those that it declared gone.
  std::vector<Gone> Look(Session& session);

 private:
  struct Sight {
    std::int64_t beats;
    DatabaseTime beat_at;
    SteadyTime since;  // not moved since at least here
  };

  DispatcherId self_;
  Clock clock_;
  std::unordered_map<DispatcherId, Sight> sights_;
  SteadyTime last_look_;
  std::uint64_t connection_ = 0;  // the session's connection of the last look; 0: start anew
};

// Rows in flight for more than 45 s whose dispatcher is not on the list become `unknown`: it left without
// recording them, or died before anybody saw it.
std::vector<Swept> SweepOrphans(Session& session);

// Rows that the log calls in flight under this dispatcher for more than 45 s, and that are not among `held`,
// become `unknown`: this process lost them. `held` names all that is in flight, not yet recorded, or claimed
// in doubt.
std::vector<Swept> SweepOwn(Session& session, const DispatcherId& dispatcher,
                            std::span<const DeliveryId> held);

}  // namespace postcall::store
