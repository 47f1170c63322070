// The voice platform as the database sees it, for tests: it inserts agents, completes calls, and reads the
// log as an operator does. One thread; it has a connection of its own.
#pragma once

#include <chrono>
#include <map>
#include <pqxx/pqxx>
#include <string>

namespace postcall::test {

class Platform {
 public:
  explicit Platform(const std::string& database_url);

  // `more_settings` are further members next to postCall, as JSON text: R"("secret": "whsec_…")".
  void AddAgent(const std::string& agent, const std::string& url, const std::string& more_settings = "");
  // Completes the calls `prefix`1 … `prefix``count` in one transaction, each with details and an analysis.
  void CompleteCalls(const std::string& agent, const std::string& prefix, int count);
  // Completes calls of many agents in one statement: `prefix`1 … go to the agents `agent_prefix`1 … in turn.
  void CompleteCallsOfAgents(const std::string& agent_prefix, int agents, const std::string& prefix,
                             int count);

  // One statement in a transaction of its own.
  pqxx::result Query(const std::string& sql);
  // The first column of the first row.
  std::string Value(const std::string& sql);
  // Waits until the statement's first value is `expected`; false when `limit` passes first.
  bool WaitForValue(const std::string& sql, const std::string& expected,
                    std::chrono::milliseconds limit = std::chrono::seconds(20));

  // Rows of the log by outcome.
  std::map<std::string, int> Outcomes();
  // Waits until every enqueued call has its final row.
  bool WaitUntilSettled(std::chrono::milliseconds limit = std::chrono::seconds(20));

 private:
  pqxx::connection connection_;
};

}  // namespace postcall::test
