// Cuts a connection that has waited too long for its server. PostgreSQL keeps its limits of time itself, and
// one that is stopped keeps none, while its kernel goes on acknowledging our bytes: without this a thread
// would wait for ever. Owned by a session; the cutting is done by a thread of its own.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/clock.h"

namespace postcall::store {

class Watchdog {
 public:
  Watchdog();
  ~Watchdog();

  // From now on nothing is waited for beyond `deadline`, whatever its own limit. Any thread.
  void LimitBy(SteadyTime deadline);
  // The earliest that was given; SteadyTime::max() without. Any thread.
  SteadyTime limit() const;

  // While it lives, `socket` is shut down once `limit` has passed, in which this process ran. One at a time.
  class Watch {
   public:
    Watch(Watchdog& watchdog, int socket, Steady::duration limit);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

   private:
    Watchdog& watchdog_;
  };

 private:
  void Run();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  int socket_ = -1;  // -1: nothing to watch
  SteadyTime begun_at_;
  SteadyTime deadline_;
  SteadyTime limit_ = SteadyTime::max();
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace postcall::store
