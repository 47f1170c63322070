// Shuts down a connection that has waited too long for its server. PostgreSQL applies its limits of time
// itself: a server process that is stopped applies none, while its kernel still acknowledges our bytes, so a
// thread would wait without limit. Owned by a session; a thread of its own does the work.
#pragma once

#include <thread>

#include "common/clock.h"
#include "common/mutex.h"

namespace postcall::postgres {

class Watchdog {
 public:
  Watchdog();
  ~Watchdog();

  // From now on no watch waits beyond `deadline`, whatever its own limit. Any thread.
  void LimitBy(SteadyTime deadline);
  // The earliest deadline that was given; SteadyTime::max() when none was. Any thread.
  SteadyTime limit() const;

  // While a Watch exists, `socket` is shut down once this process has run for `limit`. One at a time.
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

  mutable Mutex mutex_;
  CondVar wake_;
  int socket_ GUARDED_BY(mutex_) = -1;  // -1: nothing to watch
  SteadyTime begun_at_ GUARDED_BY(mutex_);
  SteadyTime deadline_ GUARDED_BY(mutex_);
  SteadyTime limit_ GUARDED_BY(mutex_) = SteadyTime::max();
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace postcall::postgres
