// What the admin port asks the program in order to answer a request (CONTRACT §8). The probes run on the
// admin thread, so they must not wait for anything slow.
#pragma once

#include <functional>
#include <string>

namespace postcall::admin {

// Whether the program is alive; if not, one sentence that says why.
struct Health {
  bool healthy = true;
  std::string reason;
};

// Whether the program is connected to a database that fits, and is not draining; if not, one sentence that
// says why.
struct Readiness {
  bool ready = true;
  std::string reason;
};

struct Probes {
  std::function<std::string()> metrics;  // Prometheus text format
  std::function<Health()> health;
  std::function<Readiness()> ready;
};

}  // namespace postcall::admin
