// Deliveries that reached the network later than ClaimedDelivery::kFreshFor after their claim. They wait
// until the claim thread has asked the database whether their rows are still ours (CONTRACT §4, "Dead
// dispatchers"). Any thread.
#pragma once

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/mutex.h"
#include "common/unique_function.h"
#include "dispatcher/dispatch/claimed_delivery.h"

namespace postcall::dispatch {

class LateDeliveries {
 public:
  // The waker is called for each delivery that is added. When this returns, no call of the previous waker is
  // running. A waker must not call LateDeliveries.
  void SetWaker(UniqueFunction<void()> waker) {
    const MutexLock lock(mutex_);
    waker_ = std::move(waker);
  }

  void Add(ClaimedDeliveryPtr delivery) {
    delivery->webhook_headers.clear();  // a signature has its time, so it is made again
    const MutexLock lock(mutex_);
    waiting_.push_back(std::move(delivery));
    if (waker_) waker_();
  }

  // To be called when the database could not be asked. The deliveries wait for the next time.
  void PutBack(Deliveries deliveries) {
    const MutexLock lock(mutex_);
    std::ranges::move(deliveries, std::back_inserter(waiting_));
  }

  Deliveries TakeAll() {
    const MutexLock lock(mutex_);
    return std::exchange(waiting_, {});
  }

 private:
  Mutex mutex_;
  Deliveries waiting_ GUARDED_BY(mutex_);
  UniqueFunction<void()> waker_ GUARDED_BY(mutex_);
};

}  // namespace postcall::dispatch
