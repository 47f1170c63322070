// The deliveries that this dispatcher holds: claimed, and not yet recorded. A row that the log has in flight
// under our id and that is not here was lost by this process, and is swept (CONTRACT §4, "Dead dispatchers").
// Any thread.
#pragma once

#include <unordered_set>
#include <utility>
#include <vector>

#include "common/mutex.h"
#include "schema/ids.h"

namespace postcall::dispatch {

class HeldRow;

class HeldDeliveries {
 public:
  // The row is held until the token is destroyed. HeldDeliveries outlives its tokens.
  HeldRow Hold(const DeliveryId& id);

  std::vector<DeliveryId> All() const;

 private:
  friend class HeldRow;
  void Release(const DeliveryId& id);

  mutable Mutex mutex_;
  // A delivery that was requeued and claimed again at once may be here twice for a moment.
  std::unordered_multiset<DeliveryId> ids_ GUARDED_BY(mutex_);
};

// One row of the log that this dispatcher holds. Its delivery carries it until the outcome is recorded.
class HeldRow {
 public:
  HeldRow() = default;  // none, as after a move
  HeldRow(HeldRow&& other) noexcept : held_(std::exchange(other.held_, nullptr)), id_(other.id_) {}
  HeldRow& operator=(HeldRow&& other) noexcept {
    std::swap(held_, other.held_);
    std::swap(id_, other.id_);
    return *this;
  }
  ~HeldRow() {
    if (held_ != nullptr) held_->Release(id_);
  }

 private:
  friend class HeldDeliveries;
  HeldRow(HeldDeliveries& held, const DeliveryId& id) : held_(&held), id_(id) {}

  HeldDeliveries* held_ = nullptr;
  DeliveryId id_;
};

}  // namespace postcall::dispatch
