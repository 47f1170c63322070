// For system tests in a network of their own (tests/support/private_network.h), with a name server of their
// own. Endpoints of the test have addresses of the internet, and the kernel's counters show what the binary
// does.
#pragma once

#include <optional>
#include <utility>

#include "tests/support/private_network.h"
#include "tests/support/system_names.h"
#include "tests/system/system_test.h"

namespace postcall::test {

class PrivateNetworkTest : public SystemTest {
 protected:
  // This must happen before the database's server is started, which is when the first test object is made.
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

  // From here on the test keeps count of what dispatchers requeue: only a requeue deletes a row of the log.
  void CountRequeues() {
    platform_.Query("CREATE TABLE requeued ()");
    platform_.Query(
        "CREATE FUNCTION count_requeue() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO requeued DEFAULT VALUES; RETURN NULL; END $$");
    platform_.Query(
        "CREATE TRIGGER count_requeue AFTER DELETE ON webhook_deliveries FOR EACH ROW"
        " EXECUTE FUNCTION count_requeue()");
  }
  double Requeued() { return std::stod(platform_.Value("SELECT count(*) FROM requeued")); }

  std::optional<SystemNames> names_;

 private:
  static inline std::optional<Error> no_network_;
};

}  // namespace postcall::test
