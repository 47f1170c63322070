// The voice platform as the database sees it, for tests: makes agents, completes calls, and reads the log as
// an operator does. One thread; a connection of its own.
#pragma once

#include <chrono>
#include <map>
#include <pqxx/pqxx>
#include <string>

namespace postcall::test {

class Platform {
 public:
  explicit Platform(const std::string& database_url);

  // `more_settings` are members beside postCall, as JSON text: R"("secret": "whsec_…")".
  void AddAgent(const std::string& agent, const std::string& url, const std::string& more_settings = "");
  // Calls `prefix`1 … `prefix``count`, each with details and an analysis, completed in one transaction.
  void CompleteCalls(const std::string& agent, const std::string& prefix, int count);
  // The same for many agents in one statement: calls `prefix`1 …, dealt to agents `agent_prefix`1 … in turn.
  void CompleteCallsOfAgents(const std::string& agent_prefix, int agents, const std::string& prefix,
                             int count);

  // One statement in a transaction of its own.
  pqxx::result Query(const std::string& sql);
  // The first column of the first row.
  std::string Value(const std::string& sql);
  // Until the statement's first value is `expected`; false when `limit` passed first.
  bool WaitForValue(const std::string& sql, const std::string& expected,
                    std::chrono::milliseconds limit = std::chrono::seconds(20));

  // Rows of the log by outcome.
  std::map<std::string, int> Outcomes();
  // Until every enqueued call has its final row.
  bool WaitUntilSettled(std::chrono::milliseconds limit = std::chrono::seconds(20));

 private:
  pqxx::connection connection_;
};

}  // namespace postcall::test
