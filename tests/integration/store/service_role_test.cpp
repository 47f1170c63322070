// Every statement of the store, as a login role that is a member of postcall_service and of nothing else.
#include "dispatcher/store/confirm.h"
#include "dispatcher/store/database_fit.h"
#include "dispatcher/store/liveness.h"
#include "dispatcher/store/partitions.h"
#include "dispatcher/store/reports.h"
#include "dispatcher/store/requeue.h"
#include "dispatcher/store/resolve.h"
#include "dispatcher/store/upkeep.h"
#include "tests/integration/store/store_test.h"
#include "tests/support/private_postgres.h"

namespace postcall::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

class ServiceRole : public StoreTest {
 protected:
  ServiceRole() {
    Query(
        "DO $$ BEGIN CREATE ROLE service_login LOGIN IN ROLE postcall_service;"
        " EXCEPTION WHEN duplicate_object THEN END $$");
    AddAgent("a");
  }

  postgres::Session service_{
      {.url = test::SharedPostgres().Url(Value("SELECT current_database()"), "service_login"),
       .application_name = "service_role_test"}};
  SteadyTime now_ = Steady::now();
};

TEST_F(ServiceRole, FindsThatTheDatabaseFits) {
  EXPECT_EQ(FaultOfDatabase(service_), std::nullopt);
  Query("REVOKE SELECT ON webhook_agents FROM postcall_service");
  EXPECT_EQ(FaultOfDatabase(service_), "the role service_login may not read webhook_agents");
}

TEST_F(ServiceRole, ClaimsAndRecords) {
  AddCalls("a", 3, "c");
  const Made claimed = Starter().ClaimAll(service_);
  ASSERT_THAT(claimed.to_send, SizeIs(3));
  std::vector<Finished> batch;
  for (const DeliveryKey& key : KeysOf(claimed)) batch.push_back(Delivered(key));
  EXPECT_THAT(Record(service_, batch).lost, IsEmpty());
  EXPECT_EQ(Log("delivered"), 3);
}

TEST_F(ServiceRole, RecordsBesideALockedRow) {
  AddCalls("a", 2, "c");
  std::vector<Finished> batch;
  for (const DeliveryKey& key : KeysOf(Starter().ClaimAll(service_))) batch.push_back(Delivered(key));
  pqxx::connection other(url_);
  pqxx::work holder(other);
  holder.exec("SELECT FROM webhook_deliveries WHERE call_id = 'c1' FOR UPDATE");
  EXPECT_THAT(Record(service_, batch).locked, SizeIs(1));
  EXPECT_EQ(Log("delivered"), 1);
}

TEST_F(ServiceRole, EndsInTheClaimWhatIsNotToBeSent) {
  AddCalls("a", 1, "c");
  const auto result = Starter().Claim(service_, Limits(10, 10), [](const Candidate&) -> Verdict {
    return Finish{Outcome::kSkipped, "https://example.com/", "removed"};
  });
  EXPECT_THAT(std::get<Made>(result).finished, SizeIs(1));
  EXPECT_EQ(Log("skipped"), 1);
}

TEST_F(ServiceRole, PutsOffACallThatCannotBeReadAndAtLastEndsIt) {
  AddCalls("a", 1, "c");
  Query("INSERT INTO call_analysis (call_id, score) VALUES ('c1', 1)");
  Query(
      "CREATE FUNCTION raises() RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = "
      "'22000'; END $$");
  const std::string view = Value("SELECT pg_get_viewdef('webhook_source')");
  Query("CREATE OR REPLACE VIEW webhook_source AS " +
        std::string(view).replace(view.find("a.score"), 7, "raises() AS score"));
  Starter starter;
  EXPECT_THAT(starter.ClaimAll(service_).unreadable, ElementsAre(AgentId("a")));
  Seen seen;
  TestLimits limits = Limits(1, 1);
  limits.only_agents = {AgentId("a")};
  const auto claim_slowly = [&] { return std::get<Made>(starter.Claim(service_, limits, seen.SendAll())); };
  EXPECT_THAT(claim_slowly().to_send, IsEmpty());
  EXPECT_EQ(Value("SELECT unread FROM webhook_outbox"), "1");
  Query("UPDATE webhook_outbox SET unread = 5, due_at = now()");
  EXPECT_THAT(claim_slowly().finished, SizeIs(1));
  EXPECT_EQ(Log("not_sent"), 1);
}

TEST_F(ServiceRole, RequeuesWhatItDidNotSend) {
  AddCalls("a", 2, "c");
  std::vector<ToRequeue> returned;
  for (const DeliveryKey& key : KeysOf(Starter().ClaimAll(service_))) returned.push_back({key, 1});
  EXPECT_THAT(Requeue(service_, returned).not_requeued, IsEmpty());
  EXPECT_EQ(Outbox(), 2);
  EXPECT_EQ(Log("in_flight"), 0);
}

TEST_F(ServiceRole, ConfirmsAndResolvesItsClaims) {
  AddCalls("a", 2, "c");
  Starter starter;
  const Made claimed = starter.ClaimAll(service_);
  const std::vector<DeliveryKey> keys = KeysOf(claimed);
  EXPECT_THAT(Confirm(service_, starter.id(), keys).still_ours, SizeIs(2));
  const Resolved resolved =
      ResolveClaim(service_, starter.DoubtOf(claimed, Value("SELECT xmin FROM webhook_deliveries LIMIT 1")));
  EXPECT_EQ(resolved.fate, Fate::kCommitted);
  EXPECT_THAT(resolved.in_flight, SizeIs(2));
}

TEST_F(ServiceRole, MakesTheRowsOfADeadDispatcherUnknownAndTakesItsLateOutcome) {
  AddCalls("a", 1, "c");
  Starter dead("dead");
  const Made claimed = dead.ClaimAll(service_);
  const Starter self;
  Observer observer(self.id(), [this] { return now_; });
  EXPECT_TRUE(SendHeartbeat(service_, self.id(), "self"));
  for (int second = 0; second <= 31; ++second, now_ += 1s) {
    for (const DeadDispatcher& lost : observer.Look(service_)) EXPECT_THAT(lost.unknown, SizeIs(1));
  }
  EXPECT_EQ(Log("unknown"), 1);
  // Its hour was closed meanwhile.
  Query(
      "INSERT INTO webhook_summary SELECT date_trunc('hour', enqueued_at, 'UTC'), 1, 0, 0, 0, 0, 0, 0, 0, 0, "
      "0, 0, 0, 1"
      " FROM webhook_enqueued");
  const Finished late = Delivered(KeyOf(claimed));
  EXPECT_EQ(Record(service_, std::span(&late, 1)).unknown_resolved, 1);
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_summary"), "0");
  EXPECT_EQ(SampleUnaccounted(service_), 0);
  Unregister(service_, self.id());
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_dispatchers"), "0");
}

TEST_F(ServiceRole, SweepsRowsThatNoDispatcherHolds) {
  AddCalls("a", 2, "c");
  Starter starter;
  const Made claimed = starter.ClaimAll(service_);
  MakeLogOlder("1 minute");
  EXPECT_THAT(SweepOwn(service_, starter.id(), std::span(claimed.to_send).first(1)), SizeIs(1));
  Unregister(service_, starter.id());
  EXPECT_THAT(SweepOrphans(service_), SizeIs(1));
  EXPECT_EQ(Log("unknown"), 2);
  EXPECT_EQ(ForgetClaims(service_, starter.id()), 1);
}

TEST_F(ServiceRole, KeepsPartitionsAndClaimsIntoThem) {
  Query(
      "CREATE TABLE webhook_deliveries_20200101 PARTITION OF webhook_deliveries "
      "FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')");
  Query(
      "DO $$ BEGIN EXECUTE 'DROP TABLE webhook_deliveries_' || to_char(now() AT TIME ZONE 'UTC', "
      "'YYYYMMDD'); END $$");
  EXPECT_EQ(MakePartitions(service_, 9), 9);
  EXPECT_EQ(DropPartitions(service_, 30), 1);
  AddCalls("a", 1, "c");
  const Finished finished = Delivered(KeyOf(Starter().ClaimAll(service_)));
  EXPECT_THAT(Record(service_, std::span(&finished, 1)).lost, IsEmpty());
  EXPECT_EQ(Log("delivered"), 1);
}

TEST_F(ServiceRole, KeepsTheReportsAndDeletesWhatIsOld) {
  AddCalls("a", 1, "c");
  EXPECT_EQ(SampleOutbox(service_).depth, 1);
  EXPECT_EQ(SampleUnaccounted(service_), 0);
  EXPECT_EQ(CloseHours(service_), 0) << "the first look only marks the moment";
  Query("INSERT INTO webhook_declined VALUES ('old', 'no_url', now() - interval '401 days')");
  EXPECT_EQ(PurgeOld(service_, 400), 1);
  Query(
      "UPDATE webhook_outbox SET awaits_analysis = true, due_at = now() + interval '1 hour';"
      "INSERT INTO webhook_analysis_hints VALUES ('c1')");
  Query(
      "ALTER TABLE call_analysis DISABLE TRIGGER USER; INSERT INTO call_analysis (call_id, mood) VALUES "
      "('c1', 'Good')");
  EXPECT_EQ(ReleaseAnalysed(service_), 1);
}

}  // namespace
}  // namespace postcall::store
