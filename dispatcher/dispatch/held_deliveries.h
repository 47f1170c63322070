// The deliveries that this dispatcher holds: claimed, and not yet recorded. What the log calls in flight
// under our name but is not in here was lost by us, and is swept (CONTRACT §4, "Gone dispatchers"). Any
// thread.
#pragma once

#include <mutex>
#include <span>
#include <unordered_set>
#include <vector>

#include "schema/ids.h"

namespace postcall::dispatch {

class HeldDeliveries {
 public:
  void Add(std::span<const DeliveryId> ids);
  void Remove(std::span<const DeliveryId> ids);
  std::vector<DeliveryId> All() const;

 private:
  mutable std::mutex mutex_;
  // A delivery that was given back and claimed again at once may be here twice for a moment.
  std::unordered_multiset<DeliveryId> ids_;
};

}  // namespace postcall::dispatch
