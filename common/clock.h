// The two clocks of the house. Intervals and deadlines are measured with the steady clock; rows carry the
// database's clock, so that several dispatchers and a stepped wall clock agree. Any thread; value types.
#pragma once

#include <chrono>

namespace postcall {

using Steady = std::chrono::steady_clock;
using SteadyTime = Steady::time_point;

// A moment by PostgreSQL's clock, UTC, to the microsecond as timestamptz stores it.
using DatabaseTime = std::chrono::sys_time<std::chrono::microseconds>;

// Ties one moment of the database's clock to the steady clock, so that later moments of database time are
// known without asking: `at` plus the steady time elapsed since.
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
