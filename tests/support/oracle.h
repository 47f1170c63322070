// Holds what endpoints saw against what the log says, after a scenario of whatever kind: nothing twice,
// nothing lost, nothing claimed that is not so. The endpoints' ledgers are the witness; the database is the
// accused. One thread; a connection of its own for each question.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "common/clock.h"
#include "tests/support/request_ledger.h"
#include "tests/support/service.h"

namespace postcall::test {

// What a scenario did that excuses something.
struct Excuses {
  bool killed = false;   // a dispatcher was killed: `unknown` may stand where an endpoint answered 2xx
  bool stopped = false;  // a dispatcher was stopped for a while: `timeout` may stand there
};

class Oracle {
 public:
  // `ledgers` outlive the oracle; each is of an endpoint that the dispatchers may reach. `timeout` is theirs.
  Oracle(std::string database_url, std::vector<const RequestLedger*> ledgers,
         std::chrono::milliseconds timeout = std::chrono::seconds(10));

  // Until every enqueued call has its final row; false when `limit` passed first. The database may be away
  // meanwhile.
  bool WaitUntilSettled(std::chrono::milliseconds limit = std::chrono::seconds(90)) const;
  bool IsSettled() const;

  // One sentence for each thing that is not as it must be; none when all is well. At most ten of a kind. Of
  // `lived`, the dispatchers that saw all of the scenario, the metrics must add up to the log; none: that is
  // not asked.
  std::vector<std::string> Violations(const Excuses& excuses = {},
                                      const std::vector<const Service*>& lived = {}) const;

 private:
  const std::string database_url_;
  const std::vector<const RequestLedger*> ledgers_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace postcall::test
