#include "dispatcher/dispatch/held_deliveries.h"

namespace postcall::dispatch {

HeldRow HeldDeliveries::Hold(const DeliveryId& id) {
  const MutexLock lock(mutex_);
  ids_.insert(id);
  return HeldRow(*this, id);
}

std::vector<DeliveryId> HeldDeliveries::All() const {
  const MutexLock lock(mutex_);
  return {ids_.begin(), ids_.end()};
}

void HeldDeliveries::Release(const DeliveryId& id) {
  const MutexLock lock(mutex_);
  if (const auto held = ids_.find(id); held != ids_.end()) ids_.erase(held);
}

}  // namespace postcall::dispatch
