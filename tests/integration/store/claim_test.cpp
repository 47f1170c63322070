// Which rows a claim picks, and in which order.
#include <set>
#include <thread>

#include "tests/integration/store/claiming.h"

namespace postcall::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Claim : public Claiming {};

TEST_F(Claim, FindsNothingInAnEmptyOutboxAndWritesNothing) {
  const Made claimed = ClaimWith(Limits(10, 10, AgentId("m")), seen_.SendAll());
  EXPECT_THAT(claimed.to_send, IsEmpty());
  EXPECT_EQ(claimed.candidates, 0);
  EXPECT_EQ(claimed.last_agent, AgentId("m"));
  EXPECT_FALSE(claimed.more);
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_dispatchers"), "0");
}

TEST_F(Claim, NeverTakesMoreThanTheFreeSlots) {
  AddAgent("a");
  AddAgent("b");
  AddCalls("a", 30, "a");
  AddCalls("b", 30, "b");
  const Made claimed = ClaimWith(Limits(7, 5), seen_.SendAll());
  EXPECT_THAT(claimed.to_send, SizeIs(7));
  EXPECT_EQ(claimed.candidates, 7);
  EXPECT_TRUE(claimed.more);
  EXPECT_EQ(Outbox(), 53);
  EXPECT_EQ(Log("in_flight"), 7);
  EXPECT_THAT(ClaimWith(Limits(0, 5), seen_.SendAll()).to_send, IsEmpty());
}

TEST_F(Claim, TakesNoMoreOfAnAgentThanItsLimit) {
  for (const char* agent : {"a", "b", "c", "d"}) {
    AddAgent(agent);
    AddCalls(agent, 10, agent);
  }
  TestLimits limits = Limits(100, 4);
  limits.agent_limits = {{AgentId("b"), 1}, {AgentId("c"), 0}, {AgentId("d"), 9}, {AgentId("nobody's"), 3}};
  const Made claimed = ClaimWith(limits, seen_.SendAll());
  std::map<std::string, int> taken;
  for (const std::string& agent : seen_.agents) ++taken[agent];
  EXPECT_EQ(taken, (std::map<std::string, int>{{"a", 4}, {"b", 1}, {"d", 9}}));
  EXPECT_TRUE(claimed.more) << "agent a has more than its limit let through";
}

TEST_F(Claim, SaysThatThereIsNoMoreWhenOnlyAgentsWithTheirOwnLimitHave) {
  AddAgent("a");
  AddAgent("b");
  AddCalls("a", 10, "a");
  AddCalls("b", 3, "b");
  TestLimits limits = Limits(100, 4);
  limits.agent_limits = {{AgentId("a"), 2}};
  EXPECT_FALSE(ClaimWith(limits, seen_.SendAll()).more);
}

TEST_F(Claim, BeginsAfterTheLastAgentAndGoesRound) {
  for (const char* agent : {"a", "b", "c", "d"}) {
    AddAgent(agent);
    AddCalls(agent, 4, agent);
  }
  const Made first = ClaimWith(Limits(6, 2, AgentId("b")), seen_.SendAll());
  EXPECT_THAT(seen_.agents, ElementsAre("c", "c", "d", "d", "a", "a"));
  EXPECT_EQ(first.last_agent, AgentId("a"));
  seen_.agents.clear();
  ClaimWith(Limits(6, 2, first.last_agent), seen_.SendAll());
  EXPECT_THAT(seen_.agents, ElementsAre("b", "b", "c", "c", "d", "d"));
  seen_.agents.clear();
  // Two rows of a and two of b are left. The agent that came last may come first again.
  ClaimWith(Limits(6, 2, AgentId("d")), seen_.SendAll());
  EXPECT_THAT(seen_.agents, ElementsAre("a", "a", "b", "b"));
}

TEST_F(Claim, TakesTheOldestOfAnAgentFirst) {
  AddAgent("a");
  AddCalls("a", 3, "late");
  AddCalls("a", 1, "early");
  Query("UPDATE webhook_outbox SET due_at = due_at - interval '1 hour' WHERE call_id = 'early1'");
  ClaimWith(Limits(2, 2), seen_.SendAll());
  EXPECT_THAT(seen_.calls, ElementsAre("early1", "late1"));
}

TEST_F(Claim, LeavesWhatIsNotDue) {
  AddAgent("a");
  AddAgent("b");
  AddCalls("a", 2, "a");
  AddCalls("b", 2, "b");
  Query("UPDATE webhook_outbox SET due_at = due_at + interval '1 hour' WHERE call_id <> 'b2'");
  ClaimWith(Limits(10, 10), seen_.SendAll());
  EXPECT_THAT(seen_.calls, ElementsAre("b2"));
  EXPECT_EQ(Outbox(), 3);
}

TEST_F(Claim, TakesACallWhoseWaitForItsAnalysisIsOver) {
  AddAgent("a");
  AddCalls("a", 3, "a");
  Query("UPDATE webhook_outbox SET awaits_analysis = true WHERE call_id <> 'a1'");
  Query("UPDATE webhook_outbox SET due_at = due_at + interval '1 hour' WHERE call_id = 'a3'");
  ClaimWith(Limits(10, 10), seen_.SendAll());
  EXPECT_THAT(seen_.calls, ElementsAre("a1", "a2"));
  EXPECT_EQ(Value("SELECT call_id FROM webhook_outbox WHERE awaits_analysis"), "a3");
}

// Otherwise every claim would make them ready again.
TEST_F(Claim, LeavesReadyWhatItMadeReady) {
  AddAgent("a");
  AddCalls("a", 2, "a");
  for (const int max_per_agent : {0, 10}) {
    Query("UPDATE webhook_outbox SET awaits_analysis = true");
    ClaimWith(Limits(10, max_per_agent), [](const Candidate&) -> Verdict { return Leave{}; });
    EXPECT_EQ(Value("SELECT count(*) FROM webhook_outbox WHERE NOT awaits_analysis"), "2") << max_per_agent;
  }
}

TEST_F(Claim, GivesTwoClaimersAtOnceDifferentRows) {
  constexpr int kCalls = 400;
  for (int agent = 0; agent < 20; ++agent) {
    const std::string name = "agent" + std::to_string(agent);
    AddAgent(name);
    AddCalls(name, kCalls / 20, name + "-");
  }
  std::vector<Seen> seen(4);
  std::vector<std::thread> claimers;
  for (Seen& mine : seen) {
    claimers.emplace_back([&] {
      postgres::Session session({.url = url_, .application_name = "claimer"});
      Starter dispatcher;
      AgentId after;
      while (true) {
        const auto result = dispatcher.Claim(session, Limits(7, 3, after), mine.SendAll());
        const auto& claimed = std::get<Made>(result);
        after = claimed.last_agent;
        if (claimed.to_send.empty()) return;
      }
    });
  }
  for (std::thread& claimer : claimers) claimer.join();
  std::multiset<std::string> all;
  for (const Seen& mine : seen) all.insert(mine.calls.begin(), mine.calls.end());
  EXPECT_EQ(all.size(), std::set<std::string>(all.begin(), all.end()).size()) << "a row was claimed twice";
  // A claim that finds all rows locked ends early, so some may be left; none is lost.
  EXPECT_EQ(static_cast<int>(all.size()) + Outbox(), kCalls);
  EXPECT_EQ(Log("in_flight"), static_cast<int>(all.size()));
}

TEST_F(Claim, NeverWaitsForRowsThatAnotherHasLocked) {
  AddAgent("a");
  AddCalls("a", 3, "a");
  pqxx::connection other(url_);
  pqxx::work holder(other);
  holder.exec("SELECT FROM webhook_outbox WHERE call_id = 'a1' FOR UPDATE");
  ClaimWith(Limits(10, 10), seen_.SendAll());
  EXPECT_THAT(seen_.calls, ElementsAre("a2", "a3"));
}

TEST_F(Claim, LeavesInTheOutboxWhatTheIntakeLeaves) {
  AddAgent("a");
  AddCalls("a", 3, "a");
  const Made claimed = ClaimWith(Limits(10, 10), [](const Candidate& candidate) -> Verdict {
    if (candidate.call_id == "a2") return Leave{};
    return Send{"https://example.com"};
  });
  EXPECT_THAT(claimed.to_send, SizeIs(2));
  EXPECT_EQ(claimed.candidates, 3);
  EXPECT_EQ(Value("SELECT string_agg(call_id, ',') FROM webhook_outbox"), "a2");
  ClaimWith(Limits(10, 10), seen_.SendAll());
  EXPECT_THAT(seen_.calls, ElementsAre("a2"));
}

TEST_F(Claim, ReadsNoCallThatIsNotAdmitted) {
  AddAgent("a");
  AddCalls("a", 4, "a");
  Query("ALTER VIEW webhook_source RENAME TO whole_source");
  Query(
      "CREATE VIEW webhook_source AS SELECT * FROM whole_source "
      "WHERE 1 / (SELECT count(*) - (call_id = 'a2')::int FROM agents) > 0");
  Intake intake = IntakeBy(seen_.SendAll());
  intake.admit = [](const Candidate& candidate) -> std::variant<Leave, Read, Finish> {
    EXPECT_EQ(candidate.call, nullptr);
    EXPECT_NE(candidate.settings, nullptr);
    if (candidate.call_id == "a2") return Leave{};
    if (candidate.call_id == "a3") return Finish{Outcome::kInvalidSettings, "", "no"};
    return Read{};
  };
  const auto claimed = std::get<Made>(dispatcher_.Claim(session_, Limits(10, 10), intake));
  EXPECT_THAT(seen_.calls, ElementsAre("a1", "a4"));
  EXPECT_THAT(claimed.to_send, SizeIs(2));
  EXPECT_THAT(claimed.finished, SizeIs(1));
  EXPECT_EQ(Value("SELECT string_agg(call_id, ',') FROM webhook_outbox"), "a2");
  EXPECT_EQ(Value("SELECT call_id FROM webhook_deliveries WHERE outcome = 'invalid_settings'"), "a3");
}

// Many agents may share an endpoint that has few slots free.
TEST_F(Claim, HasThoseThatWereLeftComeFirstNextTime) {
  for (const char* agent : {"a", "b", "c", "d"}) {
    AddAgent(agent);
    AddCalls(agent, 4, agent);
  }
  Intake intake = IntakeBy(seen_.SendAll());
  int slots = 0;
  intake.admit = [&](const Candidate&) -> std::variant<Leave, Read, Finish> {
    if (slots == 0) return Leave{};
    --slots;
    return Read{};
  };
  AgentId after;
  for (int claims = 0; claims < 4; ++claims) {
    slots = 2;
    after = std::get<Made>(dispatcher_.Claim(session_, Limits(4, 1, after), intake)).last_agent;
  }
  EXPECT_THAT(seen_.agents, ElementsAre("a", "b", "c", "d", "a", "b", "c", "d"));
  EXPECT_EQ(std::get<Made>(dispatcher_.Claim(session_, Limits(2, 1, AgentId("a")), intake)).last_agent,
            AgentId("c"))
      << "none of b and c was admitted: d and a have their turn";
}

TEST_F(Claim, SaysThatThereIsNothing) {
  const auto pick = [&](const TestLimits& limits) {
    return std::holds_alternative<Nothing>(
        OpenClaim::Pick(session_, dispatcher_.NextClaimer(), WithAgents(session_, limits)));
  };
  EXPECT_TRUE(pick(Limits(10, 10)));
  AddAgent("a");
  AddCalls("a", 1, "a");
  EXPECT_TRUE(pick(Limits(0, 10)));
  EXPECT_FALSE(pick(Limits(10, 10)));
}

// The outbox was vacuumed while it was empty, so the planner believes that it is empty, however many rows it
// has now.
TEST_F(Claim, IsAsQuickWhenTheStatisticsAreWrong) {
  constexpr int kCalls = 200'000;
  const auto fill = [&](int count) {
    Query(
        "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at) SELECT 'c' || n, 'agent' "
        "|| n % 7, "
        "'completion', now(), now() FROM generate_series(1, " +
        std::to_string(count) + ") AS n");
  };
  Query("ALTER TABLE webhook_outbox SET (autovacuum_enabled = off)");
  fill(1000);
  Query("DELETE FROM webhook_outbox");
  pqxx::nontransaction(platform_).exec("VACUUM ANALYZE webhook_outbox");
  fill(kCalls);
  ASSERT_EQ(Value("SELECT reltuples = 0 AND relpages > 0 FROM pg_class WHERE relname = 'webhook_outbox'"),
            "t");
  const SteadyTime start = Steady::now();
  EXPECT_THAT(ClaimWith(Limits(500, 100), seen_.SendAll()).to_send, SizeIs(500));
  EXPECT_LT(Steady::now() - start, std::chrono::seconds(3));
  EXPECT_EQ(Outbox(), kCalls - 500);
}

// They are of the agent that the claim asks for, and due before its other call.
TEST_F(Claim, IsAsQuickWhenManyCallsAwaitTheirAnalysis) {
  AddAgent("a");
  AddCalls("a", 1, "a");
  Query("UPDATE webhook_outbox SET due_at = now() + interval '1 hour'");
  ClaimLimits limits = Limits(500, 100);
  limits.agents = {{AgentId("a"), {DatabaseTime(), DeliveryId(0)}, 100}};
  const auto quickest = [&] {
    auto least = Steady::duration::max();
    for (int i = 0; i < 10; ++i) {
      const SteadyTime start = Steady::now();
      EXPECT_TRUE(
          std::holds_alternative<Nothing>(OpenClaim::Pick(session_, dispatcher_.NextClaimer(), limits)));
      least = std::min(least, Steady::now() - start);
    }
    return least;
  };
  const auto without = quickest();
  Query(
      "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at, awaits_analysis)"
      " SELECT 'c' || n, 'a', 'completion', now(), now(), true FROM generate_series(1, 50000) AS n");
  EXPECT_LT(quickest(), 10 * without);
}

}  // namespace
}  // namespace postcall::store
