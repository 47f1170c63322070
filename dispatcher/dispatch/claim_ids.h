// The ids of a dispatcher's claims, counted from 1. No id is used twice. Any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "schema/ids.h"

namespace postcall::dispatch {

class ClaimIds {
 public:
  explicit ClaimIds(const DispatcherId& dispatcher) : dispatcher_(dispatcher) {}

  ClaimId Next() { return ClaimId::Of(dispatcher_, claims_.fetch_add(1, std::memory_order_relaxed) + 1); }

 private:
  const DispatcherId dispatcher_;
  std::atomic<std::uint64_t> claims_ = 0;
};

}  // namespace postcall::dispatch
