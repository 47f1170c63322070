// Compares what endpoints saw with what the log says, after any scenario: nothing was sent twice, nothing is
// lost, and the log says nothing false. The endpoints' ledgers are the truth; the database is checked against
// them. One thread; each check has a connection of its own.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/clock.h"
#include "tests/support/request_ledger.h"
#include "tests/support/service.h"

namespace postcall::test {

// What a scenario did, and which differences it allows.
struct Excuses {
  bool killed =
      false;  // a dispatcher was killed: the log may say `unknown` although an endpoint answered 2xx
  bool stopped = false;  // a dispatcher was stopped for a while: the log may say `timeout` there
};

class Oracle {
 public:
  // `ledgers` outlive the oracle; each is of an endpoint that the dispatchers may reach. `timeout` is that of
  // the dispatchers.
  Oracle(std::string database_url, std::vector<const RequestLedger*> ledgers,
         std::chrono::milliseconds timeout = std::chrono::seconds(10));

  // Waits until every enqueued call has its final row; false when `limit` passes first. The database may be
  // away during that time.
  bool WaitUntilSettled(std::chrono::milliseconds limit = std::chrono::seconds(90)) const;
  bool IsSettled() const;

  // One sentence per violation, at most ten of a kind; empty when there is none. `lived` are the dispatchers
  // that ran during the whole scenario: the sum of their metrics must match the log. When `lived` is empty,
  // that is not checked.
  std::vector<std::string> Violations(const Excuses& excuses = {},
                                      const std::vector<const Service*>& lived = {}) const;

 private:
  const std::string database_url_;
  const std::vector<const RequestLedger*> ledgers_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace postcall::test
