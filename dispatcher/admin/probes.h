// What the admin port asks the program when it is asked itself (CONTRACT §8). Called on the admin thread, so
// none may wait for anything slow.
#pragma once

#include <functional>
#include <string>

namespace postcall::admin {

// Whether the program is alive; if not, one sentence that says why.
struct Health {
  bool healthy = true;
  std::string reason;
};

// Whether it is connected to a database that fits and not draining; if not, one sentence that says why.
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
