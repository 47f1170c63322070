// Platforms that use the stricter isolation levels: two transactions that complete different calls never fail
// because of our triggers (CONTRACT §3, "Enqueueing").
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "tests/integration/migrations/platform_database.h"

namespace postcall::test {
namespace {

class IsolationLevels : public PlatformDatabase {
 protected:
  // Makes calls `prefix`1 … in progress, and calls that were completed before installation.
  IsolationLevels() {
    db_.Run("ALTER TABLE calls SET (fillfactor = 50)");  // so that an updated row stays in its page
    db_.Run("INSERT INTO calls SELECT 'open-' || n, 'agent', 'in_progress' FROM generate_series(1, 500) n");
    db_.Run("INSERT INTO calls SELECT 'shut-' || n, 'mute', 'in_progress' FROM generate_series(1, 500) n");
    db_.Run("SET postcall.enqueue = off");
    db_.Run("INSERT INTO calls SELECT 'old-' || n, 'agent', 'completed' FROM generate_series(1, 500) n");
    db_.Run("RESET postcall.enqueue");
    // With rows and statistics the planner reads these small tables completely.
    InsertCall("seen", "completed");
    InsertCall("seen-mute", "completed", "mute");
    db_.Run("VACUUM ANALYZE");
  }

  struct Session : Client {
    using Client::Client;
    // Returns 1 when the server refuses because of another transaction, otherwise 0. Throws any other
    // refusal.
    int Fails(const std::string& sql) {
      try {
        Run(sql);
        return 0;
      } catch (const pqxx::serialization_failure&) {
        Run("ROLLBACK");
        return 1;
      }
    }
  };

  // Runs two transactions that are open at the same time. Returns how many of them failed.
  int Pair(const std::string& level, const std::string& first, const std::string& second,
           bool first_commits_first = true) {
    one_.Run("BEGIN ISOLATION LEVEL " + level);
    two_.Run("BEGIN ISOLATION LEVEL " + level);
    for (Session* session : {&one_, &two_}) session->Run("SELECT 1 FROM agents WHERE id = 'agent'");
    const bool one_failed = one_.Fails(first) != 0;
    const bool two_failed = two_.Fails(second) != 0;
    Session& earlier = first_commits_first ? one_ : two_;
    Session& later = first_commits_first ? two_ : one_;
    const auto commit = [&](Session& session) {
      const bool failed = &session == &one_ ? one_failed : two_failed;
      return failed ? 1 : session.Fails("COMMIT");
    };
    const int earlier_failed = commit(earlier);
    return earlier_failed + commit(later);
  }

  std::string Next(const std::string& prefix) { return prefix + std::to_string(++numbers_[prefix]); }
  std::string Insert(const std::string& agent) {
    return "INSERT INTO calls (id, agent_id, status) VALUES ('" + Next("new-") + "', '" + agent +
           "', 'completed')";
  }
  std::string Complete(const std::string& prefix) {
    return "UPDATE calls SET status = 'completed' WHERE id = '" + Next(prefix) + "'";
  }
  std::string Uncomplete() { return "UPDATE calls SET status = 'failed' WHERE id = '" + Next("old-") + "'"; }
  std::string Delete() { return "DELETE FROM calls WHERE id = '" + Next("old-") + "'"; }
  std::string CompleteWithAnalysis() {
    const std::string complete = Complete("open-");
    return complete + "; INSERT INTO call_analysis (call_id, summary) VALUES ('open-" +
           std::to_string(numbers_["open-"]) + "', 'fine')";
  }

  std::map<std::string, int> numbers_;
  Session one_{url_};
  Session two_{url_};
};

TEST_F(IsolationLevels, ACallOfAnAgentWithoutUrlAndOneOfAnAgentWithUrlDoNotConflict) {
  for (const std::string level : {"SERIALIZABLE", "REPEATABLE READ"}) {
    for (const bool in_order : {true, false}) {
      EXPECT_EQ(Pair(level, Insert("mute"), Insert("agent"), in_order), 0) << level << in_order;
      EXPECT_EQ(Pair(level, Insert("agent"), Insert("mute"), in_order), 0) << level << in_order;
      EXPECT_EQ(Pair(level, Complete("shut-"), Complete("open-"), in_order), 0) << level << in_order;
      EXPECT_EQ(Pair(level, Complete("open-"), Complete("shut-"), in_order), 0) << level << in_order;
    }
  }
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_enqueued"), 17);
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_declined WHERE reason = 'no_url'"), 17);
}

TEST_F(IsolationLevels, ACallFromBeforeInstallationAndAnOrdinaryCompletionDoNotConflict) {
  for (const std::string level : {"SERIALIZABLE", "REPEATABLE READ"}) {
    for (const bool in_order : {true, false}) {
      EXPECT_EQ(Pair(level, Uncomplete(), Complete("open-"), in_order), 0) << level << in_order;
      EXPECT_EQ(Pair(level, Complete("open-"), Delete(), in_order), 0) << level << in_order;
    }
  }
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_declined WHERE reason = 'completed_unseen'"), 8);
}

TEST_F(IsolationLevels, CallsThatWaitForTheirAnalysisDoNotConflict) {
  for (Session* session : {&one_, &two_}) session->Run("SET postcall.wait_for = 'analysis'");
  for (const std::string level : {"SERIALIZABLE", "REPEATABLE READ"}) {
    for (const bool in_order : {true, false}) {
      EXPECT_EQ(Pair(level, CompleteWithAnalysis(), CompleteWithAnalysis(), in_order), 0)
          << level << in_order;
      EXPECT_EQ(Pair(level, Complete("open-"), CompleteWithAnalysis(), in_order), 0) << level << in_order;
    }
  }
  // Both complete their calls before either writes its analysis.
  for (const std::string level : {"SERIALIZABLE", "REPEATABLE READ"}) {
    for (Session* session : {&one_, &two_}) session->Run("BEGIN ISOLATION LEVEL " + level);
    std::vector<std::string> calls;
    for (Session* session : {&one_, &two_}) {
      calls.push_back(Next("shut-"));
      session->Run("UPDATE calls SET agent_id = 'agent', status = 'completed' WHERE id = '" + calls.back() +
                   "'");
    }
    int failures = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      Session& session = i == 0 ? one_ : two_;
      failures +=
          session.Fails("INSERT INTO call_analysis (call_id, mood) VALUES ('" + calls[i] + "', 'good')");
    }
    for (Session* session : {&one_, &two_}) failures += session->Fails("COMMIT");
    EXPECT_EQ(failures, 0) << level;
  }
  while (db_.Number("SELECT webhook_release_analysed()") > 0) {
  }
  EXPECT_EQ(
      db_.Value("SELECT count(*) FILTER (WHERE awaits_analysis) || ' of ' || count(*) FROM webhook_outbox"),
      "4 of 21")
      << "each call that has an analysis is due";
}

TEST_F(IsolationLevels, NoPairOfTransactionsConflicts) {
  for (Session* session : {&one_, &two_}) session->Run("SET postcall.wait_for = 'analysis'");
  std::mt19937 random(10);
  const auto action = [&] {
    switch (random() % 7) {
      case 0:
        return Insert("agent");
      case 1:
        return Insert("mute");
      case 2:
        return Complete("open-");
      case 3:
        return Complete("shut-");
      case 4:
        return Uncomplete();
      case 5:
        return Delete();
      default:
        return CompleteWithAnalysis();
    }
  };
  for (int pair = 0; pair < 200; ++pair) {
    const std::string first = action();
    const std::string second = action();
    EXPECT_EQ(Pair("SERIALIZABLE", first, second, random() % 2 == 0), 0) << first << " | " << second;
  }
}

// Many run at once, so that three and more can form a chain.
TEST_F(IsolationLevels, EightPlatformsAtOnceDoNotConflict) {
  constexpr int kPlatforms = 8;
  constexpr int kCalls = 100;
  std::atomic<int> failures = 0;
  std::vector<std::thread> platforms;
  for (int platform = 0; platform < kPlatforms; ++platform) {
    platforms.emplace_back([&, platform] {
      Session session(url_);
      for (int n = 0; n < kCalls; ++n) {
        const std::string call = std::to_string(n) + "-" + std::to_string(platform);
        session.Run("BEGIN ISOLATION LEVEL SERIALIZABLE");
        const bool failed = session.Fails("INSERT INTO calls (id, agent_id, status) VALUES ('" + call +
                                          "', '" + (n % 2 == 0 ? "agent" : "mute") + "', 'completed')") != 0;
        failures += failed ? 1 : session.Fails("COMMIT");
      }
    });
  }
  for (std::thread& platform : platforms) platform.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_enqueued"), 1 + kPlatforms * kCalls / 2);
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_declined"), 1 + kPlatforms * kCalls / 2);
}

// A claim that reads a slow view keeps the rows that it writes locked for seconds.
TEST_F(IsolationLevels, AClaimThatReadsTheAgentDelaysNoTransactionOfThePlatform) {
  InsertCall("c", "completed");
  db_.Run("UPDATE webhook_outbox SET agent_id = ''");
  one_.Run("BEGIN");
  EXPECT_EQ(one_.Value("SELECT agent_id FROM webhook_find_agents(ARRAY(SELECT id FROM webhook_outbox))"),
            "agent");
  two_.Run("SET lock_timeout = '1s'");
  two_.Run("BEGIN ISOLATION LEVEL REPEATABLE READ");
  two_.Run("SELECT count(*) FROM calls");  // this takes the snapshot
  one_.Run("COMMIT");
  one_.Run("BEGIN; UPDATE webhook_outbox SET agent_id = ''");
  one_.Run("SELECT webhook_find_agents(ARRAY(SELECT id FROM webhook_outbox))");
  EXPECT_EQ(two_.Fails("DELETE FROM calls WHERE id = 'c'"), 0);
  EXPECT_EQ(two_.Fails("COMMIT"), 0);
  one_.Run("COMMIT");
  EXPECT_EQ(Declined("c"), "");
}

}  // namespace
}  // namespace postcall::test
