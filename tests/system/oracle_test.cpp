// Tests of the system tests' oracle: it notices when any of its rules is broken.
#include "tests/support/oracle.h"

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OracleOfTheTests : public SystemTest {
 protected:
  // Adds an enqueued call without a row in the outbox; the test writes the rows of the log itself.
  void Enqueue(const std::string& call) {
    platform_.Query("INSERT INTO webhook_enqueued VALUES ('" + call + "', 'agent', now())");
  }
  void Log(const std::string& call, const std::string& outcome, const std::string& reached) {
    const bool answered = outcome == "delivered";
    platform_.Query(
        "INSERT INTO webhook_deliveries (id, call_id, agent_id, cause, outcome, reached, http_status,"
        " enqueued_at, due_at, claimed_at, finished_at, total_ms, dispatcher, claim_id)"
        " SELECT nextval('webhook_delivery_id_seq'), '" +
        call + "', 'agent', 'completion', '" + outcome + "', " +
        (reached.empty() ? "NULL" : "'" + reached + "'") + ", " + (answered ? "200" : "NULL") +
        ", now(), now(), now() - interval '1 s', " + (outcome == "in_flight" ? "NULL" : "now()") +
        ", 1000, 'd', gen_random_uuid()");
  }
  void Request(const std::string& call, const std::string& answer, std::optional<int> status) {
    RequestEntry entry;
    entry.call_id = call;
    entry.answer = answer;
    entry.answer_status = status;
    if (status) entry.answer_began_at = entry.answer_ended_at = Steady::now();
    ledger_.AddRequest(entry);
  }
  std::vector<std::string> Violations(const Excuses& excuses = {}) const {
    return Oracle(database_url_, {&ledger_}).Violations(excuses);
  }

  RequestLedger ledger_;
};

TEST_F(OracleOfTheTests, FindsNothingWhenAllIsRight) {
  Enqueue("good");
  Log("good", "delivered", "response_complete");
  Request("good", "200", 200);
  Enqueue("dead");
  Log("dead", "connect_error", "nothing");
  EXPECT_THAT(Violations(), IsEmpty());
}

TEST_F(OracleOfTheTests, SeesARequestSentTwice) {
  Enqueue("call");
  Log("call", "delivered", "response_complete");
  Request("call", "200", 200);
  Request("call", "200", 200);
  EXPECT_THAT(Violations(), Contains(HasSubstr("sent more than once: call")));
}

TEST_F(OracleOfTheTests, SeesACallThatIsLost) {
  Enqueue("call");
  EXPECT_THAT(Violations(), Contains(HasSubstr("does not have exactly one row: call")));
  EXPECT_THAT(Violations(), Contains(HasSubstr("1 unaccounted")));
}

TEST_F(OracleOfTheTests, SeesTwoRowsOfOneCall) {
  Enqueue("call");
  Log("call", "connect_error", "nothing");
  Log("call", "connect_error", "nothing");
  EXPECT_THAT(Violations(), Contains(HasSubstr("does not have exactly one row: call")));
}

TEST_F(OracleOfTheTests, SeesACallThatIsStillInFlight) {
  Enqueue("call");
  Log("call", "in_flight", "");
  EXPECT_THAT(Violations(), Contains(HasSubstr("still in flight: call")));
}

TEST_F(OracleOfTheTests, SeesADeliveryThatNoEndpointAnsweredWith2xx) {
  Enqueue("call");
  Log("call", "delivered", "response_complete");
  Request("call", "500", 500);
  EXPECT_THAT(Violations(), Contains(HasSubstr("no endpoint answered 2xx: call")));
}

TEST_F(OracleOfTheTests, SeesA2xxThatIsNotInTheLogUnlessItIsExcused) {
  Enqueue("late");
  Log("late", "timeout", "request_sent");
  Request("late", "200", 200);
  Enqueue("gone");
  Log("gone", "unknown", "");
  Request("gone", "200", 200);
  EXPECT_THAT(Violations(), Contains(HasSubstr("a 2xx in time is not 'delivered': late (timeout)")));
  EXPECT_THAT(Violations(), Contains(HasSubstr("a 2xx in time is not 'delivered': gone (unknown)")));
  EXPECT_THAT(Violations({.killed = true, .stopped = true}), IsEmpty());
}

TEST_F(OracleOfTheTests, SeesARequestOfARowThatSaysThatNothingWasSent) {
  Enqueue("call");
  Log("call", "connect_error", "connected");
  Request("call", "hang", std::nullopt);
  EXPECT_THAT(Violations(), Contains(HasSubstr("the row's reached is 'connected': call")));
}

TEST_F(OracleOfTheTests, SeesARequestThatIsNotInTheLog) {
  Request("stray", "200", 200);
  EXPECT_THAT(Violations(), Contains(HasSubstr("sent, but not in the log: stray")));
}

TEST_F(OracleOfTheTests, SeesMetricsThatDifferFromTheLog) {
  platform_.AddAgent("agent", endpoint_.Url());
  const Service service(Run());
  platform_.CompleteCalls("agent", "call-", 3);
  ExpectTheOracleIsContent({}, {&service});
  Enqueue("more");
  Log("more", "connect_error", "nothing");
  const Oracle oracle(database_url_, {&endpoint_.ledger()});
  EXPECT_THAT(oracle.Violations({}, {&service}),
              Contains(HasSubstr("metrics and log differ: connect_error")));
}

}  // namespace
}  // namespace postcall::test
