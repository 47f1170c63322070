// Shared by the system tests: each test has a migrated database of its own, the platform that completes calls
// there, and the binary's options for it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/hostile_endpoint.h"
#include "tests/support/must_run.h"
#include "tests/support/oracle.h"
#include "tests/support/platform.h"
#include "tests/support/private_postgres.h"
#include "tests/support/sanitizers.h"
#include "tests/support/service.h"
#include "tests/support/tcp_proxy.h"

namespace postcall::test {

class SystemTest : public ::testing::Test {
 protected:
  // `more` come after the options that every test needs, and so override them.
  ServiceOptions Run(const std::vector<std::string>& more = {}) const {
    ServiceOptions options;
    options.arguments = {"--database-url", database_url_, "--admin-listen", "127.0.0.1:0",
                         "--egress-allow", "127.0.0.0/8", "--instance",     "under-test"};
    options.arguments.insert(options.arguments.end(), more.begin(), more.end());
    return options;
  }

  // The URL of the same database through the proxy.
  static std::string Through(const TcpProxy& proxy, const std::string& url) {
    return "postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" +
           Platform(url).Value("SELECT current_database()");
  }

  // After a scenario, expects that every call is over, that none was sent twice or lost, and that the log is
  // right. `more` are the other endpoints of the test; `lived` are services that ran all the time, so that
  // their metrics must agree with the log.
  void ExpectTheOracleIsContent(const Excuses& excuses = {}, const std::vector<const Service*>& lived = {},
                                const std::vector<const HostileEndpoint*>& more = {}) {
    std::vector<const RequestLedger*> ledgers = {&endpoint_.ledger()};
    for (const HostileEndpoint* endpoint : more) ledgers.push_back(&endpoint->ledger());
    const Oracle oracle(database_url_, ledgers);
    EXPECT_TRUE(oracle.WaitUntilSettled());
    EXPECT_THAT(oracle.Violations(excuses, lived), ::testing::IsEmpty());
  }

  const std::string database_url_ = SharedPostgres().CreateMigratedDatabase();
  Platform platform_{database_url_};
  HostileEndpoint endpoint_;
};

}  // namespace postcall::test
