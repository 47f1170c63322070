// What the tests of the store share: a database of their own, a platform that completes calls, and
// dispatchers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "dispatcher/store/claim.h"
#include "dispatcher/store/database.h"
#include "dispatcher/store/record.h"
#include "schema/delivery.h"

namespace postcall::store {

class StoreTest : public ::testing::Test {
 protected:
  StoreTest();

  // The platform's side.
  pqxx::result Query(const std::string& sql);
  std::string Value(const std::string& sql);  // the first column of the first row
  void AddAgent(const std::string& agent, const std::string& settings = kSettings);
  // Completes `prefix`1 … `prefix``count`, each in the outbox then.
  void AddCalls(const std::string& agent, int count, const std::string& prefix);
  int Outbox() { return std::stoi(Value("SELECT count(*) FROM webhook_outbox")); }
  int Log(const std::string& outcome);

  static constexpr const char* kSettings = R"({"webhooks": {"postCall": "https://example.com/hook"}})";

  const std::string url_;
  pqxx::connection platform_;
  Session session_;
};

using Verdict = std::variant<Leave, Send, Finish>;
using Decide = std::function<Verdict(const Candidate&)>;

// Admits every row.
Judge JudgeBy(Decide decide);

// One start of a dispatcher, as the claim thread sees itself.
class Starter {
 public:
  explicit Starter(std::string instance = "test");

  const DispatcherId& id() const { return id_; }
  const std::string& instance() const { return instance_; }
  ClaimId NextClaimId();

  std::variant<Claimed, InDoubt> Claim(Session& session, const ClaimLimits& limits, const Judge& judge);
  std::variant<Claimed, InDoubt> Claim(Session& session, const ClaimLimits& limits, const Decide& decide) {
    return Claim(session, limits, JudgeBy(decide));
  }
  // Claims up to `rows` and judges each Send; fails the test when the claim is in doubt.
  Claimed ClaimAll(Session& session, int rows = 100);

 private:
  DispatcherId id_;
  std::string instance_;
  std::uint64_t claims_ = 0;
};

ClaimLimits Limits(int max_rows, int per_agent, AgentId after = {});

// Decides to send every row, and writes down what it saw.
struct Seen {
  std::vector<std::string> calls;
  std::vector<std::string> agents;
  Decide SendAll();
};

DeliveryKey KeyOf(const Claimed& claimed, std::size_t row = 0);
std::vector<DeliveryKey> KeysOf(const Claimed& claimed);

// Delivered with status 200, one second after the claim.
Finished Delivered(const DeliveryKey& key);

}  // namespace postcall::store
