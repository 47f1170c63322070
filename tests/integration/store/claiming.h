// A dispatcher that claims, and what its claims saw.
#pragma once

#include "dispatcher/store/claim.h"
#include "tests/integration/store/store_test.h"

namespace postcall::store {

class Claiming : public StoreTest {
 protected:
  Made ClaimWith(const TestLimits& limits, const Decide& decide) {
    return std::get<Made>(dispatcher_.Claim(session_, limits, decide));
  }

  Starter dispatcher_;
  Seen seen_;
};

}  // namespace postcall::store
