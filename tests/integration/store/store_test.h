// What the tests of the store share: a database of their own, a platform that completes calls, and
// dispatchers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <pqxx/pqxx>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dispatcher/postgres/database.h"
#include "dispatcher/store/claim.h"
#include "dispatcher/store/record.h"
#include "schema/delivery.h"

namespace postcall::test {
class TcpProxy;
}

namespace postcall::store {

class StoreTest : public ::testing::Test {
 protected:
  StoreTest();

  // The platform's side.
  pqxx::result Query(const std::string& sql);
  std::string Value(const std::string& sql);  // the first column of the first row
  // Waits until the statement's first value is `expected`; false when that takes longer than 20 s.
  bool WaitForValue(const std::string& sql, const std::string& expected);
  void AddAgent(const std::string& agent, const std::string& settings = kSettings);
  // Completes `prefix`1 … `prefix``count`, each in the outbox then.
  void AddCalls(const std::string& agent, int count, const std::string& prefix);
  int Outbox() { return std::stoi(Value("SELECT count(*) FROM webhook_outbox")); }
  int Log(const std::string& outcome);
  // As if all that is in the log had been claimed `age` (an interval) earlier.
  void MakeLogOlder(const std::string& age);
  void MakeClaimOlder(const DeliveryId& row, const std::string& age);
  // The URL of the same database through the proxy.
  std::string UrlThrough(const test::TcpProxy& proxy);

  static constexpr const char* kSettings = R"({"webhooks": {"postCall": "https://example.com/hook"}})";

  const std::string url_;
  pqxx::connection platform_;
  postgres::Session session_;
};

// A row as a test decides about it. Views are valid during the call only.
struct Candidate {
  DeliveryId id;
  std::string_view call_id;
  std::string_view agent_id;
  Cause cause = Cause::kCompletion;
  DatabaseTime due_at;
  int requeues = 0;
  const SettingsAsRead* settings = nullptr;  // none: the agent was removed
  const Call* call = nullptr;                // once it is read; none: the call was removed
};

struct Leave {};
struct Read {};
struct Send {
  std::string url;
};
struct Finish {
  Outcome outcome = Outcome::kSkipped;
  std::string url;
  std::string error;
};
using Verdict = std::variant<Leave, Send, Finish>;
using Decide = std::function<Verdict(const Candidate&)>;

// What a test decides about each row, in place of the dispatcher's intake: before its call is read, and
// after.
struct Intake {
  std::function<std::variant<Leave, Read, Finish>(const Candidate&)> admit;
  Decide decide;
};

// Admits every row.
Intake IntakeBy(Decide decide);

// How a claim ended, in each of the possible ways.
struct Made {
  ClaimId claim_id;
  ClockAnchor anchor{};
  SteadyTime owned_since{};
  std::vector<DeliveryId> to_send;
  std::vector<DeliveryId> finished;
  int candidates = 0;
  AgentId last_agent;
  bool more = false;
  int rows_next = 0;  // of TooMany
  std::vector<AgentId> unreadable;
  bool timed_out = false;
};

// The limits of a claim of all agents that are ready: a test needs not name them.
struct TestLimits : ClaimLimits {
  int per_agent = 0;                                  // rows of one agent, when it is not named below
  std::vector<std::pair<AgentId, int>> agent_limits;  // exceptions; 0 steps over the agent
  AgentId after;                                      // agents after this one come first, then the others
};

// One start of a dispatcher, as the claim thread sees itself.
class Starter {
 public:
  explicit Starter(std::string instance = "test");

  const DispatcherId& id() const { return id_; }
  const std::string& instance() const { return instance_; }
  Claimer NextClaimer();
  // Without it, each claim moves the heartbeat.
  void NoteHeartbeat() { alive_at_ = Steady::now(); }

  // Makes ready what has waited long enough, finds the agents that are ready, and claims. Sets a row aside
  // that a claim of `only_agents` cannot read.
  std::variant<Made, InDoubt> Claim(postgres::Session& session, const TestLimits& limits,
                                    const Intake& intake);
  std::variant<Made, InDoubt> Claim(postgres::Session& session, const TestLimits& limits,
                                    const Decide& decide) {
    return Claim(session, limits, IntakeBy(decide));
  }
  // Claims up to `rows` and decides to send each; fails the test when the claim is in doubt.
  Made ClaimAll(postgres::Session& session, int rows = 100);

  // As if the commit of this claim had been in doubt.
  InDoubt DoubtOf(const Made& made, std::string transaction_id) const;

 private:
  DispatcherId id_;
  std::string instance_;
  SteadyTime alive_at_{};
  std::uint64_t claims_ = 0;
};

TestLimits Limits(int max_rows, int per_agent, AgentId after = {});

// These limits with the agents that are ready, as the claim loop finds them.
ClaimLimits WithAgents(postgres::Session& session, const TestLimits& limits);

// Decides to send every row, and writes down what it saw.
struct Seen {
  std::vector<DeliveryId> ids;
  std::vector<std::string> calls;
  std::vector<std::string> agents;
  Decide SendAll();
};

DeliveryKey KeyOf(const Made& made, std::size_t row = 0);
DeliveryKey KeyOf(const InDoubt& doubt, const DeliveryId& id);
std::vector<DeliveryKey> KeysOf(const Made& made);

// Delivered with status 200, one second after the claim.
Finished Delivered(const DeliveryKey& key);

}  // namespace postcall::store
