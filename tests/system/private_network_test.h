// System tests in a network of their own (tests/support/private_network.h), with a name server of their own:
// the addresses of the internet are played by endpoints of the test, and what the binary does is read from
// the kernel's counters.
#pragma once

#include <optional>
#include <utility>

#include "tests/support/private_network.h"
#include "tests/support/system_names.h"
#include "tests/system/system_test.h"

namespace postcall::test {

class PrivateNetworkTest : public SystemTest {
 protected:
  // Before the database's server is started, which is when the first of the tests is made.
  static void SetUpTestSuite() { no_network_ = PrivateNetwork::Enter(); }

  void SetUp() override {
    if (no_network_) {
      if (MustRun()) FAIL() << no_network_->message;
      GTEST_SKIP() << no_network_->message;
    }
    names_.emplace();
  }

  ServiceOptions RunWithNames(const std::vector<std::string>& more = {}) const {
    ServiceOptions options = Run(more);
    options.resolv_conf = names_->resolv_conf();
    return options;
  }

  std::optional<SystemNames> names_;

 private:
  static inline std::optional<Error> no_network_;
};

}  // namespace postcall::test
