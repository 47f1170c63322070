// The recorder writes the rest of a batch when a part of it cannot be written yet.
#include "dispatcher/dispatch/recorder.h"

#include <functional>
#include <thread>

#include "tests/integration/store/store_test.h"
#include "tests/support/private_postgres.h"
#include "tests/support/tcp_proxy.h"

namespace postcall::dispatch {
namespace {

using metrics::Operation;
using std::chrono::milliseconds;
using std::chrono::seconds;
using store::Made;

class Recording : public store::StoreTest {
 protected:
  Recording() {
    AddAgent("a");
    AddCalls("a", 2, "call-");
    claimed_ = starter_.ClaimAll(session_);
    EXPECT_TRUE(Becomes([&] { return !recorder_.Fault(); }));
  }
  ~Recording() override { recorder_.Stop(Steady::now() + seconds(5)); }

  // True when `condition` holds within 20 s.
  static bool Becomes(const std::function<bool()>& condition) {
    const SteadyTime deadline = Steady::now() + seconds(20);
    while (!condition()) {
      if (Steady::now() >= deadline) return false;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return true;
  }

  void Requeue(std::size_t row) {
    const DeliveryKey key = store::KeyOf(claimed_, row);
    recorder_.Requeue({.key = key, .requeues = 1, .over_at = key.claimed_at + seconds(2)},
                      held_.Hold(claimed_.to_send.at(row)));
  }
  void Finish(std::size_t row) {
    recorder_.Finish(store::Delivered(store::KeyOf(claimed_, row)), held_.Hold(claimed_.to_send.at(row)));
  }
  std::string OutcomeOf(std::size_t row) {
    return Value("SELECT outcome FROM webhook_deliveries WHERE id = " +
                 std::to_string(claimed_.to_send.at(row).get()));
  }
  double NotSent() { return metrics_.deliveries(Outcome::kNotSent, Cause::kCompletion).Value(); }

  store::Starter starter_;
  Made claimed_;
  metrics::Metrics metrics_;
  Progress progress_;
  HeldDeliveries held_;
  test::TcpProxy proxy_{test::SharedPostgres().port()};
  Recorder recorder_{{.url = UrlThrough(proxy_), .application_name = "recording"}, metrics_, progress_};
};

TEST_F(Recording, OfACallThatIsNotRequeuedWaitsForALockOnItsRow) {
  Query("UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now()");
  pqxx::connection other(url_);
  pqxx::work lock(other);
  lock.exec("SELECT FROM webhook_deliveries FOR UPDATE");
  Requeue(0);
  const auto waits = [&] {
    return Value(
               "SELECT count(*) FROM pg_stat_activity"
               " WHERE application_name = 'recording' AND wait_event_type = 'Lock'") == "1";
  };
  ASSERT_TRUE(Becomes(waits));
  ASSERT_TRUE(Becomes([&] { return !waits(); })) << "it gives up this try";
  ASSERT_TRUE(Becomes(waits)) << "and tries again";
  lock.abort();
  EXPECT_TRUE(Becomes([&] { return OutcomeOf(0) == "not_sent"; }));
  EXPECT_TRUE(Becomes([&] { return recorder_.unrecorded() == 0; }));
  EXPECT_EQ(NotSent(), 1);
  EXPECT_EQ(Value("SELECT finished_at - claimed_at FROM webhook_deliveries WHERE outcome = 'not_sent'"),
            "00:00:02");
  EXPECT_THAT(held_.All(), ::testing::IsEmpty());
}

TEST_F(Recording, CountsNoOutcomeThatIsInTheLogWhileTheRestOfItsBatchWaits) {
  proxy_.FailNextCommit(test::CommitFault::kCutBeforeRequest, "INSERT INTO webhook_outbox");
  Requeue(0);
  Finish(1);
  ASSERT_TRUE(Becomes([&] { return metrics_.database_errors(Operation::kRequeue).Value() > 0; }));
  EXPECT_EQ(recorder_.unrecorded(), 1u);
  EXPECT_EQ(metrics_.outcomes_unrecorded.Value(), 1);
  EXPECT_TRUE(Becomes([&] { return Outbox() == 1; }));
  EXPECT_EQ(OutcomeOf(1), "delivered");
}

}  // namespace
}  // namespace postcall::dispatch
