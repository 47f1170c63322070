#include "dispatcher/dispatch/held_deliveries.h"

namespace postcall::dispatch {

void HeldDeliveries::Add(std::span<const DeliveryId> ids) {
  const std::lock_guard lock(mutex_);
  ids_.insert(ids.begin(), ids.end());
}

void HeldDeliveries::Remove(std::span<const DeliveryId> ids) {
  const std::lock_guard lock(mutex_);
  for (const DeliveryId& id : ids) {
    if (const auto held = ids_.find(id); held != ids_.end()) ids_.erase(held);
  }
}

std::vector<DeliveryId> HeldDeliveries::All() const {
  const std::lock_guard lock(mutex_);
  return {ids_.begin(), ids_.end()};
}

}  // namespace postcall::dispatch
