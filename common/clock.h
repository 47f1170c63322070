// The two clocks of the program. Intervals and deadlines use the steady clock; rows use the database's clock,
// so that several dispatchers agree and a changed wall clock does no harm. Any thread; value types.
#pragma once

#include <chrono>

namespace postcall {

using Steady = std::chrono::steady_clock;
using SteadyTime = Steady::time_point;

// A time of PostgreSQL's clock, in UTC, in microseconds as timestamptz stores it.
using DatabaseTime = std::chrono::sys_time<std::chrono::microseconds>;

// One moment, as both clocks show it. A later database time is known without a query: `at` plus the steady
// time elapsed since then.
struct ClockAnchor {
  DatabaseTime at;
  SteadyTime steady;

  DatabaseTime ToDatabaseTime(SteadyTime moment) const {
    return at + std::chrono::duration_cast<std::chrono::microseconds>(moment - steady);
  }
};

inline double Milliseconds(Steady::duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}
inline double Seconds(Steady::duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace postcall
