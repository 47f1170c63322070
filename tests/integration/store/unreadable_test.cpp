// How much a claim reads at once, and what becomes of calls that cannot be read.
#include "tests/integration/store/claim_sources.h"

namespace postcall::store {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

TEST_F(ClaimSources, StopAtTheLimitOfBytes) {
  constexpr std::int64_t kUnit = 1 << 16;
  AddAgent("a");
  AddAgent("b");
  AddCalls("a", 25, "a");
  AddCalls("b", 25, "b");
  AddAnalyses("a", 25, 5 * kUnit);
  AddAnalyses("b", 25, 5 * kUnit);
  TestLimits limits = Limits(50, 25);
  limits.max_bytes = 22 * kUnit;
  std::int64_t shown = 0;
  const Made claimed = ClaimWith(limits, [&](const Candidate& candidate) -> Verdict {
    shown += static_cast<std::int64_t>(candidate.call->analysis.interests_and_needs->size());
    return Send{""};
  });
  EXPECT_THAT(claimed.to_send, SizeIs(5)) << "four make 20 units, the fifth passes the limit";
  EXPECT_EQ(shown / kUnit, 25);
  EXPECT_TRUE(claimed.more);
  EXPECT_EQ(claimed.last_agent, AgentId("a"));
  EXPECT_EQ(Outbox(), 45);
  // The next claim begins with the other agent.
  limits.after = claimed.last_agent;
  Seen seen;
  ClaimWith(limits, seen.SendAll());
  EXPECT_THAT(seen.agents, ElementsAre("b", "b", "b", "b", "b"));
}

TEST_F(ClaimSources, AlwaysGiveTheFirstRow) {
  AddAgent("a");
  AddCalls("a", 2, "a");
  AddAnalyses("a", 2, 1 << 20);
  TestLimits limits = Limits(50, 25);
  limits.max_bytes = 1;
  Seen seen;
  EXPECT_THAT(ClaimWith(limits, seen.SendAll()).to_send, SizeIs(1));
  EXPECT_THAT(ClaimWith(limits, seen.SendAll()).to_send, SizeIs(1));
}

// A hundred such rows are small on disk, because they are compressed to a thousandth. The size of their text
// counts.
TEST_F(ClaimSources, CountTextAndNotWhatItTakesOnDisk) {
  AddAgent("a");
  AddCalls("a", 100, "a");
  Query(
      "INSERT INTO call_analysis (call_id, sentiment) "
      "SELECT 'a' || n, to_jsonb(repeat('x', 100000)) FROM generate_series(1, 100) AS n");
  TestLimits limits = Limits(100, 100);
  limits.max_bytes = 1'000'000;
  Seen seen;
  EXPECT_THAT(ClaimWith(limits, seen.SendAll()).to_send, SizeIs(10));
}

// A platform's own view may raise an error for a row.
TEST_F(ClaimSources, ThatCannotBeReadHoldUpNoOtherAgent) {
  for (const char* agent : {"a", "b", "c"}) {
    AddAgent(agent);
    AddCalls(agent, 10, agent);
  }
  Query("CREATE TABLE broken AS SELECT 'b4' AS call_id");
  Query("ALTER VIEW webhook_source RENAME TO whole_source");
  Query(
      "CREATE VIEW webhook_source AS SELECT * FROM whole_source "
      "WHERE 1 / (SELECT count(*) - 1 + (call_id <> ALL (SELECT b.call_id FROM broken b))::int FROM agents "
      "WHERE id = 'a') > 0");
  Seen seen;
  TestLimits limits = Limits(30, 10);
  for (int claims = 0; claims < 12; ++claims) limits.after = ClaimWith(limits, seen.SendAll()).last_agent;
  EXPECT_THAT(slow_readers_, ElementsAre(AgentId("b")));
  EXPECT_GE(seen.calls.size(), 20u) << "those of the others at least";
  while (!ClaimSlow(seen.SendAll()).last_agent.get().empty()) continue;
  EXPECT_EQ(seen.calls.size(), 29u) << "all but the one";
  EXPECT_EQ(Log("in_flight"), 29);
  EXPECT_EQ(Value("SELECT concat_ws(' ', call_id, unread, requeues, due_at > now()) FROM webhook_outbox"),
            "b4 1 0 t");
  Query("DELETE FROM broken; UPDATE webhook_outbox SET due_at = now()");
  EXPECT_THAT(ClaimSlow(seen.SendAll()).to_send, SizeIs(1));
}

// Another dispatcher found that they cannot be read, or this one before a restart.
TEST_F(ClaimSources, ThatCouldNotBeReadBeforeAreLeftToTheSlowLane) {
  AddAgent("a");
  AddAgent("b");
  AddCalls("a", 3, "a");
  AddCalls("b", 3, "b");
  Query("UPDATE webhook_outbox SET unread = 1 WHERE call_id = 'a2'");
  Seen seen;
  EXPECT_THAT(ClaimWith(Limits(10, 10), seen.SendAll()).unreadable, ElementsAre(AgentId("a")));
  EXPECT_EQ(seen.calls.size(), 5u);
  EXPECT_THAT(ClaimSlow(seen.SendAll()).to_send, SizeIs(1));
}

TEST_F(ClaimSources, HoldUpNoOtherAgentWhateverTheyRaise) {
  for (const char* agent : {"a", "b"}) {
    AddAgent(agent);
    AddCalls(agent, 10, agent);
  }
  Query(
      "CREATE FUNCTION checked(call_id text) RETURNS text LANGUAGE plpgsql STABLE AS"
      " $$ BEGIN"
      "   IF call_id = 'b4' THEN RAISE 'not this'; END IF;"
      "   IF call_id = 'b5' THEN RAISE 'damaged' USING ERRCODE = 'data_corrupted'; END IF;"
      "   IF call_id = 'b6' THEN RAISE 'cannot' USING ERRCODE = 'feature_not_supported'; END IF;"
      "   RETURN call_id;"
      " END $$");
  // For one call the function raises; another has two names.
  ComputeInView("name", "(SELECT checked(call_id) UNION ALL SELECT call_id WHERE call_id = 'b7')");
  Seen seen;
  TestLimits limits = Limits(30, 10);
  for (int claims = 0; claims < 20; ++claims) {
    try {
      limits.after = ClaimWith(limits, seen.SendAll()).last_agent;
    } catch (const postgres::Unavailable& unavailable) {
      EXPECT_EQ(unavailable.sqlstate(), "0A000") << "as if the view had been replaced: once more";
    }
  }
  for (int claims = 0; claims < 20; ++claims) {
    try {
      ClaimSlow(seen.SendAll());
    } catch (const postgres::Unavailable& unavailable) {
      EXPECT_EQ(unavailable.sqlstate(), "0A000");
    }
  }
  EXPECT_EQ(seen.calls.size(), 16u) << "all but the four";
  EXPECT_EQ(Value("SELECT string_agg(call_id || unread, ' ' ORDER BY call_id) FROM webhook_outbox"),
            "b41 b51 b61 b71");
}

TEST_F(ClaimSources, AreReadForAMomentAtATime) {
  AddAgent("a");
  AddCalls("a", 20, "a");
  Query("INSERT INTO caller_details (call_id, name) SELECT id, '' FROM calls");
  ReadSlowly("0.15");
  const SteadyTime start = Steady::now();
  Seen seen;
  const Made claimed = ClaimWith(Limits(20, 20), seen.SendAll());
  EXPECT_LT(Steady::now() - start, std::chrono::seconds(2)) << "all would take three";
  EXPECT_GT(claimed.to_send.size(), 1u);
  EXPECT_LT(claimed.to_send.size(), 15u);
  EXPECT_TRUE(claimed.more);
}

// Such a call may be a row of a kilobyte that is a gigabyte as text.
TEST_F(ClaimSources, ThatTakeTooLongAreReadApartFromTheOthers) {
  for (const char* agent : {"a", "b", "c"}) {
    AddAgent(agent);
    AddCalls(agent, 3, agent);
  }
  Query("INSERT INTO caller_details (call_id, name) SELECT id, '' FROM calls");
  ReadSlowly("CASE call_id WHEN 'b2' THEN 60 ELSE 0 END");
  const SteadyTime start = Steady::now();
  Seen seen;
  TestLimits limits = Limits(9, 3);
  for (int claims = 0; claims < 12 && seen.calls.size() < 6; ++claims) {
    limits.after = ClaimWith(limits, seen.SendAll()).last_agent;
  }
  EXPECT_GE(seen.calls.size(), 6u) << "all of the others";
  EXPECT_THAT(slow_readers_, ElementsAre(AgentId("b")));
  EXPECT_LT(Steady::now() - start, std::chrono::seconds(2)) << "all others wait for it";
  while (ClaimSlow(seen.SendAll()).unreadable.empty()) continue;
  EXPECT_EQ(Value("SELECT concat_ws(' ', call_id, unread, requeues, due_at > now()) FROM webhook_outbox"
                  " WHERE call_id = 'b2'"),
            "b2 1 0 t");
}

// Once a call could not be read, its wait in the slow lane counts towards its ten minutes.
TEST_F(ClaimSources, ThatWaitForTheirTurnEndAfterTenMinutesToo) {
  AddAgent("a");
  AddCalls("a", 1, "a");
  slow_readers_ = {AgentId("a")};
  Query("ALTER VIEW webhook_source RENAME TO whole_source");
  Query(
      "CREATE VIEW webhook_source AS SELECT * FROM whole_source "
      "WHERE 1 / (SELECT count(*) - 1 FROM agents) > 0");
  Seen seen;
  const auto claim_late = [&](const std::string& late) {
    Query("UPDATE webhook_outbox SET due_at = now() - interval '" + late + "'");
    ClaimSlow(seen.SendAll());
    return Value("SELECT unread FROM webhook_outbox");
  };
  EXPECT_EQ(claim_late("1 hour"), "1") << "it was never tried before";
  EXPECT_EQ(claim_late("100 seconds"), "3") << "120 of the 600 s are over, as after 20 + 40 s and some";
  EXPECT_EQ(claim_late("430 seconds"), "5");
  EXPECT_EQ(Log("not_sent"), 0);
  claim_late("0 seconds");
  EXPECT_EQ(Log("not_sent"), 1);
}

TEST_F(ClaimSources, ThatCannotBeReadForTenMinutesEnd) {
  AddAgent("a");
  AddCalls("a", 1, "a");
  slow_readers_ = {AgentId("a")};
  Query("ALTER VIEW webhook_source RENAME TO whole_source");
  Query(
      "CREATE VIEW webhook_source AS SELECT * FROM whole_source "
      "WHERE 1 / (SELECT count(*) - 1 FROM agents) > 0");
  Seen seen;
  int claims = 0;
  std::string pauses;
  while (Outbox() > 0 && claims < 100) {
    if (claims > 0)
      pauses += Value("SELECT round(extract(epoch FROM due_at - now())) FROM webhook_outbox") + " ";
    Query("UPDATE webhook_outbox SET due_at = now()");
    const Made claimed = ClaimSlow(seen.SendAll());
    ++claims;
    EXPECT_THAT(claimed.finished, SizeIs(Outbox() == 0 ? 1 : 0));
  }
  EXPECT_EQ(claims, 6);
  EXPECT_EQ(pauses, "20 40 80 160 320 ");
  EXPECT_EQ(Value("SELECT outcome || ' ' || reached || ' ' || error FROM webhook_deliveries"),
            "not_sent nothing unreadable");
  EXPECT_EQ(Value("SELECT unaccounted FROM webhook_reconciliation"), "0");
}

}  // namespace
}  // namespace postcall::store
