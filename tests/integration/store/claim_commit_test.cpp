// What a claim writes when it commits, and that nothing of it stays when it does not.
#include "tests/integration/store/claiming.h"

namespace postcall::store {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class ClaimCommit : public Claiming {};

TEST_F(ClaimCommit, LeavesEverythingWhenItEndsWithoutItsCommit) {
  AddAgent("a");
  AddCalls("a", 3, "a");
  {
    auto claim = std::get<OpenClaim>(
        OpenClaim::Pick(session_, dispatcher_.NextClaimer(), WithAgents(session_, Limits(10, 10))));
    std::vector<PickedRow> rows = claim.TakeRows();
    ASSERT_THAT(rows, SizeIs(3));
    claim.Finish(std::move(rows[0]), Outcome::kSkipped, "", "removed");
    const std::vector<ToSend> rest = {{&rows[1], ""}, {&rows[2], ""}};
    EXPECT_THAT(std::get<OpenClaim::Calls>(claim.Read(rest)), SizeIs(2));
  }
  EXPECT_EQ(Outbox(), 3);
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_deliveries"), "0");
  EXPECT_THAT(ClaimWith(Limits(10, 10), seen_.SendAll()).to_send, SizeIs(3));
  EXPECT_EQ(session_.connection_number(), 1u);
}

// The limits of the look-ups and reads are shorter, for the sake of other agents.
TEST_F(ClaimCommit, HasTheLimitsOfItsTransaction) {
  Query(R"(
      CREATE TABLE limits (call_id text, statements text, locks text);
      CREATE FUNCTION note_limits() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          INSERT INTO limits
          VALUES (new.call_id, current_setting('statement_timeout'), current_setting('lock_timeout'));
          RETURN new;
        END $$;
      CREATE TRIGGER note BEFORE INSERT ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION note_limits())");
  AddAgent("a");
  AddCalls("a", 3, "read");
  ClaimWith(Limits(10, 10), seen_.SendAll());
  AddCalls("a", 2, "part");
  TestLimits few_bytes = Limits(10, 10);
  few_bytes.max_bytes = 1;
  EXPECT_THAT(ClaimWith(few_bytes, seen_.SendAll()).to_send, SizeIs(1));
  ClaimWith(few_bytes, seen_.SendAll());
  AddCalls("a", 1, "unread");
  dispatcher_.Claim(session_, Limits(10, 10),
                    Intake{.admit = [](const Candidate&) { return Finish{}; }, .decide = seen_.SendAll()});
  EXPECT_EQ(Value("SELECT string_agg(DISTINCT statements || ' ' || locks, ', ') FROM limits"), "4s 3s");
  EXPECT_EQ(Value("SELECT string_agg(call_id, ' ' ORDER BY call_id) FROM limits"),
            "part1 part2 read1 read2 read3 unread1");
}

TEST_F(ClaimCommit, LeavesEverythingWhenTheDatabaseRefusesARow) {
  AddAgent("a");
  AddCalls("a", 3, "a");
  Query("ALTER TABLE webhook_deliveries ADD CONSTRAINT no_more CHECK (call_id <> 'a3') NOT VALID");
  EXPECT_THROW(ClaimWith(Limits(10, 10), seen_.SendAll()), postgres::Refused);
  EXPECT_EQ(Outbox(), 3);
  EXPECT_THAT(ClaimWith(Limits(2, 2), seen_.SendAll()).to_send, SizeIs(2));
}

TEST_F(ClaimCommit, WritesTheRowOfASend) {
  AddAgent("a");
  AddCalls("a", 2, "a");
  Query(
      "UPDATE webhook_outbox SET cause = 'resend', due_at = '2024-02-29 23:59:59.999999+00' WHERE call_id = "
      "'a1'");
  const std::string id = Value("SELECT id FROM webhook_outbox WHERE call_id = 'a1'");
  const std::string enqueued_at = Value("SELECT enqueued_at FROM webhook_outbox WHERE call_id = 'a1'");
  const SteadyTime before = Steady::now();
  DatabaseTime seen_due;
  const Made claimed = ClaimWith(Limits(10, 10), [&](const Candidate& candidate) -> Verdict {
    if (candidate.call_id == "a1") {
      seen_due = candidate.due_at;
      EXPECT_EQ(candidate.cause, Cause::kResend);
      EXPECT_EQ(candidate.id.get(), std::stoll(id));
      EXPECT_EQ(candidate.requeues, 0);
    }
    return Send{"https://example.com/a?b=…"};
  });
  using std::chrono::sys_days;
  EXPECT_EQ(seen_due, sys_days(std::chrono::year(2024) / 2 / 29) + std::chrono::hours(24) -
                          std::chrono::microseconds(1));
  EXPECT_GE(claimed.owned_since, before);
  EXPECT_GE(claimed.anchor.steady, claimed.owned_since);

  const pqxx::row row = Query(
      "SELECT *, (extract(epoch FROM claimed_at) * 1000000)::bigint AS claimed_us "
      "FROM webhook_deliveries WHERE call_id = 'a1'")[0];
  EXPECT_EQ(row["id"].c_str(), id);
  EXPECT_STREQ(row["agent_id"].c_str(), "a");
  EXPECT_STREQ(row["cause"].c_str(), "resend");
  EXPECT_STREQ(row["url"].c_str(), "https://example.com/a?b=…");
  EXPECT_STREQ(row["outcome"].c_str(), "in_flight");
  EXPECT_EQ(row["enqueued_at"].c_str(), enqueued_at);
  EXPECT_EQ(row["claimed_us"].as<std::int64_t>(), claimed.anchor.at.time_since_epoch().count());
  EXPECT_STREQ(row["dispatcher"].c_str(), "test");
  EXPECT_EQ(row["claim_id"].c_str(), claimed.claim_id.get().ToString());
  for (const char* empty : {"reached", "error", "finished_at", "http_status", "response_body"}) {
    EXPECT_TRUE(row[empty].is_null()) << empty;
  }
  EXPECT_EQ(Value("SELECT count(DISTINCT claimed_at) FROM webhook_deliveries"), "1");
}

TEST_F(ClaimCommit, EndsAtOnceWhatTheIntakeFinishes) {
  AddAgent("a");
  AddCalls("a", 1, "a");
  const Made claimed = ClaimWith(Limits(10, 10), [](const Candidate&) -> Verdict {
    return Finish{Outcome::kInvalidSettings, "ftp://example.com",
                  "no \"URL\" \\ \n\t é \xff" + std::string(1, '\0')};
  });
  EXPECT_THAT(claimed.to_send, IsEmpty());
  EXPECT_THAT(claimed.finished, SizeIs(1));
  const pqxx::row row = Query("SELECT *, finished_at = claimed_at AS at_once FROM webhook_deliveries")[0];
  EXPECT_STREQ(row["outcome"].c_str(), "invalid_settings");
  EXPECT_STREQ(row["reached"].c_str(), "nothing");
  EXPECT_STREQ(row["url"].c_str(), "ftp://example.com");
  EXPECT_STREQ(row["error"].c_str(), "no \"URL\" \\ \n\t é \xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_TRUE(row["at_once"].as<bool>());
  EXPECT_EQ(Outbox(), 0);
}

TEST_F(ClaimCommit, IsListedOnlyWhenItHasSomethingToSend) {
  AddAgent("a");
  AddCalls("a", 2, "a");
  const auto skip = [](const Candidate&) -> Verdict { return Finish{Outcome::kSkipped, "", "removed"}; };
  ClaimWith(Limits(1, 1), skip);
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_claims"), "0");
  const Made claimed = ClaimWith(Limits(1, 1), seen_.SendAll());
  EXPECT_EQ(Value("SELECT c.claim_id || ' ' || (c.claimed_at = d.claimed_at)"
                  "  FROM webhook_claims c JOIN webhook_deliveries d USING (claim_id)"),
            claimed.claim_id.get().ToString() + " true");
}

TEST_F(ClaimCommit, ProvesThatTheDispatcherLives) {
  AddAgent("a");
  AddCalls("a", 2, "a");
  dispatcher_.ClaimAll(session_, 1);
  EXPECT_EQ(Value("SELECT instance FROM webhook_dispatchers WHERE id = '" +
                  dispatcher_.id().get().ToString() + "'"),
            "test");
  dispatcher_.ClaimAll(session_, 1);
  EXPECT_EQ(Value("SELECT heartbeats FROM webhook_dispatchers"), "1");
}

TEST_F(ClaimCommit, MovesNoHeartbeatThatIsFresh) {
  AddAgent("a");
  AddCalls("a", 2, "a");
  dispatcher_.ClaimAll(session_, 1);
  dispatcher_.NoteHeartbeat();
  dispatcher_.ClaimAll(session_, 1);
  EXPECT_EQ(Value("SELECT heartbeats FROM webhook_dispatchers"), "0");
}

TEST_F(ClaimCommit, RegistersADispatcherThatWasDeclaredDead) {
  AddAgent("a");
  AddCalls("a", 1, "a");
  dispatcher_.NoteHeartbeat();
  dispatcher_.ClaimAll(session_);
  EXPECT_EQ(Value("SELECT id FROM webhook_dispatchers"), dispatcher_.id().get().ToString());
}

// A database may have been set up for speed. A claim that a crash forgets would be sent twice.
TEST_F(ClaimCommit, IsDurableWhateverTheDatabasesSetting) {
  Query("ALTER DATABASE " + std::string(platform_.dbname()) + " SET synchronous_commit = off");
  AddAgent("a", R"({"webhooks": {"postCall": "https://example.com"}})");
  AddCalls("a", 1, "a");
  Query(R"sql(
      CREATE TABLE seen (setting text);
      CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
      CREATE TRIGGER look AFTER DELETE ON webhook_outbox FOR EACH ROW EXECUTE FUNCTION look())sql");
  dispatcher_.ClaimAll(session_);
  EXPECT_EQ(Value("SELECT setting FROM seen"), "on");
}

}  // namespace
}  // namespace postcall::store
