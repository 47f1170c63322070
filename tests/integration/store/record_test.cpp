#include "dispatcher/store/record.h"

#include "dispatcher/store/requeue.h"
#include "tests/integration/store/store_test.h"

namespace postcall::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Recording : public StoreTest {
 protected:
  Made ClaimCalls(int count) {
    AddAgent("a");
    AddCalls("a", count, "a");
    return dispatcher_.ClaimAll(session_, count);
  }

  pqxx::row Row(const DeliveryKey& key) {
    return Query("SELECT * FROM webhook_deliveries WHERE id = " + std::to_string(key.id.get()))[0];
  }

  Starter dispatcher_;
};

TEST_F(Recording, WritesAllThatIsKnown) {
  const DeliveryKey key = KeyOf(ClaimCalls(1));
  Finished finished = Delivered(key);
  finished.finished_at = key.claimed_at + std::chrono::microseconds(1'234'567);
  finished.result = {
      .outcome = Outcome::kRejected,
      .reached = Reached::kResponseComplete,
      .http_status = 503,
      .error = "The endpoint said \"503\" \\ {no}, NULL",
      .response_body = "body",
      .response_truncated = true,
      .remote_address = "2001:db8::1",
      .connection_reused = true,
      .certificate_ends_at = key.claimed_at + std::chrono::hours(24),
      .request_bytes = 5'000'000'000,
      .response_bytes = 65536,
      .times = {.lookup = 0.125, .connect = 1.5, .tls = 2.25, .first_byte = 1000.5, .total = 1234.5},
  };
  const Recorded recorded = Record(session_, std::span(&finished, 1));
  EXPECT_EQ(recorded.unknown_resolved, 0);
  EXPECT_THAT(recorded.lost, IsEmpty());
  EXPECT_THAT(recorded.text_replaced, IsEmpty());
  EXPECT_THAT(recorded.refused, IsEmpty());

  const pqxx::row row = Row(key);
  EXPECT_STREQ(row["outcome"].c_str(), "rejected");
  EXPECT_STREQ(row["reached"].c_str(), "response_complete");
  EXPECT_STREQ(row["http_status"].c_str(), "503");
  EXPECT_STREQ(row["error"].c_str(), "The endpoint said \"503\" \\ {no}, NULL");
  EXPECT_STREQ(row["response_body"].c_str(), "body");
  EXPECT_STREQ(row["response_truncated"].c_str(), "t");
  EXPECT_STREQ(row["remote_address"].c_str(), "2001:db8::1");
  EXPECT_STREQ(row["connection_reused"].c_str(), "t");
  EXPECT_STREQ(row["request_bytes"].c_str(), "5000000000");
  EXPECT_STREQ(row["response_bytes"].c_str(), "65536");
  EXPECT_STREQ(row["lookup_ms"].c_str(), "0.125");
  EXPECT_STREQ(row["connect_ms"].c_str(), "1.5");
  EXPECT_STREQ(row["tls_ms"].c_str(), "2.25");
  EXPECT_STREQ(row["first_byte_ms"].c_str(), "1000.5");
  EXPECT_STREQ(row["total_ms"].c_str(), "1234.5");
  EXPECT_EQ(Value("SELECT finished_at - claimed_at FROM webhook_deliveries"), "00:00:01.234567");
  EXPECT_EQ(Value("SELECT certificate_ends_at - claimed_at FROM webhook_deliveries"), "1 day");
}

TEST_F(Recording, LeavesEmptyWhatDidNotHappen) {
  const DeliveryKey key = KeyOf(ClaimCalls(1));
  Finished finished = Delivered(key);
  finished.result = DeliveryResult();
  finished.result.outcome = Outcome::kDnsError;
  finished.result.reached = Reached::kNothing;
  finished.result.error = "no such host";
  Record(session_, std::span(&finished, 1));
  const pqxx::row row = Row(key);
  EXPECT_STREQ(row["outcome"].c_str(), "dns_error");
  for (const char* empty : {"http_status", "response_body", "remote_address", "connection_reused",
                            "certificate_ends_at", "lookup_ms", "connect_ms", "tls_ms", "first_byte_ms"}) {
    EXPECT_TRUE(row[empty].is_null()) << empty;
  }
}

std::string Utf8(char32_t c) {
  const auto byte = [](char32_t bits) { return static_cast<char>(bits); };
  const auto more = [&](int shift) { return byte(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0 | (c >> 6)), more(0)};
  if (c < 0x10000) return {byte(0xE0 | (c >> 12)), more(6), more(0)};
  return {byte(0xF0 | (c >> 18)), more(12), more(6), more(0)};
}

TEST_F(Recording, KeepsEveryCharacterAndReplacesWhatIsNone) {
  std::string all;
  for (char32_t c = 1; c <= 0x10FFFF; ++c) {
    if (c < 0xD800 || c > 0xDFFF) all += Utf8(c);
  }
  const Made claimed = ClaimCalls(3);
  std::vector<Finished> batch{Delivered(KeyOf(claimed, 0)), Delivered(KeyOf(claimed, 1)),
                              Delivered(KeyOf(claimed, 2))};
  batch[0].result.response_body = all;
  batch[1].result.response_body =
      std::string("a\0b\xC3", 4) + "(\xED\xA0\x80\xF5\xE2\x82";  // cut off at the end
  batch[2].result.response_body = "NULL";
  EXPECT_THAT(Record(session_, batch).text_replaced, IsEmpty());
  EXPECT_TRUE(Row(batch[0].key)["response_body"].c_str() == all);
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(Row(batch[1].key)["response_body"].c_str(), "a" + r + "b" + r + "(" + r + r + r + r + r);
  EXPECT_STREQ(Row(batch[2].key)["response_body"].c_str(), "NULL");
}

TEST_F(Recording, TouchesNoRowOfAnotherClaim) {
  const Made claimed = ClaimCalls(3);
  std::vector<Finished> batch{Delivered(KeyOf(claimed, 0)), Delivered(KeyOf(claimed, 1)),
                              Delivered(KeyOf(claimed, 2))};
  batch[0].key.claim_id = dispatcher_.NextClaimer().claim_id;
  batch[1].key.claimed_at += std::chrono::microseconds(1);
  batch[2].key.id = DeliveryId(batch[2].key.id.get() + 1000);
  const Recorded recorded = Record(session_, batch);
  EXPECT_THAT(recorded.lost, ElementsAre(batch[0].key.id, batch[1].key.id, batch[2].key.id));
  EXPECT_EQ(Log("in_flight"), 3);
}

TEST_F(Recording, NeverChangesAnOutcomeThatIsKnown) {
  Finished finished = Delivered(KeyOf(ClaimCalls(1)));
  Record(session_, std::span(&finished, 1));
  finished.result.outcome = Outcome::kTimeout;
  finished.result.error = "late";
  EXPECT_THAT(Record(session_, std::span(&finished, 1)).lost, ElementsAre(finished.key.id));
  EXPECT_EQ(Log("delivered"), 1);
}

TEST_F(Recording, ReplacesUnknownByTheTruthAndReopensItsHour) {
  const Made claimed = ClaimCalls(3);
  Query(
      "UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now(), error = 'dead' WHERE call_id "
      "<> 'a3'");
  Query("UPDATE webhook_deliveries SET enqueued_at = '2024-05-05 10:59:59.999999+00' WHERE call_id = 'a1'");
  Query("UPDATE webhook_deliveries SET enqueued_at = '2024-05-05 11:00:00+00' WHERE call_id = 'a2'");
  Query(
      "INSERT INTO webhook_summary SELECT hour, 1,0,0,0,0,0,0,0,0,0,0,0,1, hour = '2024-05-05 11:00+00' "
      "FROM generate_series('2024-05-05 09:00+00'::timestamptz, '2024-05-05 12:00+00', '1 hour') AS hour");
  std::vector<Finished> batch;
  for (const DeliveryKey& key : KeysOf(claimed)) batch.push_back(Delivered(key));
  const Recorded recorded = Record(session_, batch);
  EXPECT_EQ(recorded.unknown_resolved, 2);
  EXPECT_THAT(recorded.lost, IsEmpty());
  EXPECT_EQ(Log("delivered"), 3);
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_deliveries WHERE error IS NOT NULL"), "0");
  EXPECT_EQ(Value("SELECT string_agg(to_char(hour AT TIME ZONE 'UTC', 'HH24'), ' ' ORDER BY hour) FROM "
                  "webhook_summary"),
            "09 11 12")
      << "an hour that is final is not counted again";
}

TEST_F(Recording, IsNotHeldUpByARowThatTheServerRefuses) {
  const Made claimed = ClaimCalls(50);
  std::vector<Finished> batch;
  for (const DeliveryKey& key : KeysOf(claimed)) batch.push_back(Delivered(key));
  batch[17].result.remote_address = "no address";  // refused as text
  batch[17].result.outcome = Outcome::kRejected;
  batch[17].result.http_status = 404;
  batch[17].result.error = "not found";
  batch[33].result.http_status = 404;  // delivered with 404: refused whatever the text
  const Recorded recorded = Record(session_, batch);
  EXPECT_THAT(recorded.text_replaced, ElementsAre(batch[17].key.id));
  EXPECT_THAT(recorded.refused, ElementsAre(batch[33].key.id));
  EXPECT_THAT(recorded.lost, IsEmpty());
  EXPECT_EQ(Log("delivered"), 48);
  EXPECT_EQ(Log("in_flight"), 1);
  EXPECT_EQ(
      Value("SELECT count(*) FROM webhook_deliveries WHERE outcome = 'delivered' AND response_body = 'ok'"),
      "48");
  const pqxx::row row = Row(batch[17].key);
  EXPECT_STREQ(row["outcome"].c_str(), "rejected");
  EXPECT_STREQ(row["http_status"].c_str(), "404");
  EXPECT_TRUE(row["response_body"].is_null());
}

// An operator's own rule for the log.
TEST_F(Recording, IsNotHeldUpByARowForWhichATriggerRaises) {
  Query(
      "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
      " $$ BEGIN IF NEW.response_body = 'poison' THEN RAISE 'not this'; END IF; RETURN NEW; END $$");
  Query("CREATE TRIGGER refuse BEFORE UPDATE ON webhook_deliveries FOR EACH ROW EXECUTE FUNCTION refuse()");
  const Made claimed = ClaimCalls(5);
  std::vector<Finished> batch;
  for (const DeliveryKey& key : KeysOf(claimed)) batch.push_back(Delivered(key));
  batch[2].result.response_body = "poison";
  EXPECT_THAT(Record(session_, batch).text_replaced, ElementsAre(batch[2].key.id));
  EXPECT_EQ(Log("delivered"), 5);
  EXPECT_TRUE(Row(batch[2].key)["response_body"].is_null());
}

// For example, a person at psql has left a transaction open.
TEST_F(Recording, IsNotHeldUpByALockedRow) {
  const Made claimed = ClaimCalls(50);
  Query("UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now() WHERE call_id = 'a9'");
  std::vector<Finished> batch;
  for (const DeliveryKey& key : KeysOf(claimed)) batch.push_back(Delivered(key));
  batch[17].key.id = DeliveryId(batch[17].key.id.get() + 1000);  // no such row: lost, and not locked
  pqxx::connection other(url_);
  pqxx::work holder(other);
  holder.exec("SELECT FROM webhook_deliveries WHERE id = " + std::to_string(batch[33].key.id.get()) +
              " FOR UPDATE");
  const SteadyTime start = Steady::now();
  const Recorded recorded = Record(session_, batch);
  EXPECT_LT(Steady::now() - start, std::chrono::seconds(2));
  EXPECT_THAT(recorded.locked, ElementsAre(batch[33].key.id));
  EXPECT_THAT(recorded.lost, ElementsAre(batch[17].key.id));
  EXPECT_EQ(recorded.unknown_resolved, 1);
  EXPECT_EQ(Log("delivered"), 48);
  holder.abort();
  EXPECT_THAT(Record(session_, std::span(&batch[33], 1)).locked, IsEmpty());
  EXPECT_EQ(Log("delivered"), 49);
}

TEST_F(Recording, ThrowsWhenTheWholeLogIsLocked) {
  const Made claimed = ClaimCalls(50);
  std::vector<Finished> batch;
  for (const DeliveryKey& key : KeysOf(claimed)) batch.push_back(Delivered(key));
  pqxx::connection other(url_);
  pqxx::work holder(other);
  holder.exec("LOCK TABLE webhook_deliveries");
  const SteadyTime start = Steady::now();
  EXPECT_THROW(Record(session_, batch), postgres::Unavailable);
  EXPECT_LT(Steady::now() - start, std::chrono::seconds(2)) << "one wait, not one a row";
  holder.abort();
  EXPECT_THAT(Record(session_, batch).locked, IsEmpty());
  EXPECT_EQ(Log("delivered"), 50);
}

TEST_F(Recording, ThrowsWhenEveryRowWouldBeRefused) {
  const Finished finished = Delivered(KeyOf(ClaimCalls(1)));
  Query("ALTER TABLE webhook_deliveries RENAME tls_ms TO tls");
  EXPECT_THROW(Record(session_, std::span(&finished, 1)), postgres::Refused);
  Query("ALTER TABLE webhook_deliveries RENAME tls TO tls_ms");
  EXPECT_THAT(Record(session_, std::span(&finished, 1)).lost, IsEmpty());
}

TEST_F(Recording, ReachesRowsOfEveryDay) {
  const Made claimed = ClaimCalls(2);
  const DeliveryId yesterdays = claimed.to_send[0];
  Query("UPDATE webhook_deliveries SET claimed_at = claimed_at - interval '1 day' WHERE id = " +
        std::to_string(yesterdays.get()));
  std::vector<Finished> batch{Delivered(KeyOf(claimed, 0)), Delivered(KeyOf(claimed, 1))};
  batch[0].key.claimed_at -= std::chrono::hours(24);
  EXPECT_THAT(Record(session_, batch).lost, IsEmpty());
  EXPECT_EQ(Log("delivered"), 2);
}

// An update that is HOT writes no index, which is most of what a record costs.
TEST_F(Recording, OfDeliveredCallsWritesNoIndex) {
  const Made claimed = ClaimCalls(200);
  std::vector<Finished> batch;
  for (const DeliveryKey& key : KeysOf(claimed)) batch.push_back(Delivered(key));
  for (Finished& finished : batch) finished.result.remote_address = "2001:db8::1";
  EXPECT_THAT(Record(session_, batch).lost, IsEmpty());
  session_.Disconnect();  // a server process reports its counts at its end
  const std::string counts =
      "SELECT sum(n_tup_upd) || ' ' || sum(n_tup_hot_upd) FROM pg_stat_user_tables"
      " WHERE relname LIKE 'webhook_deliveries_%'";
  EXPECT_TRUE(WaitForValue(counts, "200 200")) << Value(counts);
}

TEST_F(Recording, ShowsFailuresOnlyInTheViewOfFailures) {
  const Made claimed = ClaimCalls(3);
  std::vector<Finished> batch{Delivered(KeyOf(claimed, 0)), Delivered(KeyOf(claimed, 1))};
  batch[1].result.outcome = Outcome::kTimeout;
  batch[1].result.error = "late";
  EXPECT_THAT(Record(session_, batch).lost, IsEmpty());
  EXPECT_EQ(Value("SELECT string_agg(id || ' ' || outcome, ', ') FROM webhook_failures"),
            std::to_string(claimed.to_send[1].get()) + " timeout");
}

TEST_F(Recording, OfNothingIsNothing) {
  EXPECT_THAT(Record(session_, {}).lost, IsEmpty());
  EXPECT_FALSE(session_.connected());
}

class Requeueing : public Recording {};

TEST_F(Requeueing, MovesTheRowToTheOutboxAsItWas) {
  AddAgent("a");
  AddCalls("a", 2, "a");
  Query("UPDATE webhook_outbox SET due_at = due_at - interval '1 minute', cause = 'test'");
  const std::string columns =
      "SELECT string_agg(concat_ws(' ', call_id, agent_id, cause, enqueued_at, due_at), ',' "
      "ORDER BY id) FROM webhook_outbox";
  const std::string before = Value(columns);
  const Made first = dispatcher_.ClaimAll(session_);
  const std::vector<ToRequeue> batch{{KeyOf(first, 0), 1}, {KeyOf(first, 1), 20}};
  EXPECT_THAT(Requeue(session_, batch).not_requeued, IsEmpty());
  EXPECT_EQ(Value(columns), before);
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_deliveries"), "0");

  std::vector<int> requeues;
  const Made second =
      std::get<Made>(dispatcher_.Claim(session_, Limits(5, 5), [&](const Candidate& candidate) {
        requeues.push_back(candidate.requeues);
        return Send{""};
      }));
  EXPECT_GT(second.to_send[0], first.to_send[1]) << "it has a new id, so that the feed shows it";
  EXPECT_THAT(requeues, ElementsAre(1, 20));

  EXPECT_THAT(Requeue(session_, batch).not_requeued, ElementsAre(first.to_send[0], first.to_send[1]))
      << "that was the claim before";
  EXPECT_THAT(Record(session_, std::vector{Delivered(KeyOf(first, 0))}).lost, ElementsAre(first.to_send[0]));
  EXPECT_EQ(Log("in_flight"), 2);
}

TEST_F(Requeueing, NeverRequeuesAnUnknownRow) {
  const Made claimed = ClaimCalls(1);
  Query("UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now(), error = 'dead'");
  EXPECT_THAT(Requeue(session_, std::vector<ToRequeue>{{KeyOf(claimed), 1}}).not_requeued,
              ElementsAre(claimed.to_send[0]));
  EXPECT_EQ(Outbox(), 0);
  EXPECT_EQ(Log("unknown"), 1);
}

TEST_F(Requeueing, IsNotHeldUpByALockedRow) {
  const Made claimed = ClaimCalls(5);
  std::vector<ToRequeue> batch;
  for (const DeliveryKey& key : KeysOf(claimed)) batch.push_back({key, 1});
  pqxx::connection other(url_);
  pqxx::work holder(other);
  holder.exec("SELECT FROM webhook_deliveries WHERE id = " + std::to_string(claimed.to_send[2].get()) +
              " FOR UPDATE");
  const Requeued requeued = Requeue(session_, batch);
  EXPECT_THAT(requeued.locked, ElementsAre(claimed.to_send[2]));
  EXPECT_THAT(requeued.not_requeued, IsEmpty());
  EXPECT_EQ(Outbox(), 4);
  holder.abort();
  EXPECT_THAT(Requeue(session_, std::span(&batch[2], 1)).not_requeued, IsEmpty());
  EXPECT_EQ(Outbox(), 5);
}

TEST_F(Requeueing, IsNotHeldUpByARowThatTheOutboxRefuses) {
  const Made claimed = ClaimCalls(3);
  Query("UPDATE webhook_deliveries SET cause = 'resend' WHERE call_id = 'a2'");
  Query(
      "INSERT INTO webhook_outbox (call_id, agent_id, cause, enqueued_at, due_at) "
      "VALUES ('a2', 'a', 'resend', now(), now())");
  std::vector<ToRequeue> batch;
  for (const DeliveryKey& key : KeysOf(claimed)) batch.push_back({key, 1});
  EXPECT_THAT(Requeue(session_, batch).not_requeued, ElementsAre(claimed.to_send[1]));
  EXPECT_EQ(Outbox(), 3);
  EXPECT_EQ(Log("in_flight"), 1);
}

}  // namespace
}  // namespace postcall::store
