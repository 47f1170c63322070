// Each chore runs again and again, not only at the start. The clock is the test's own, and there is no
// thread.
#include "dispatcher/dispatch/housekeeper.h"

#include <optional>
#include <thread>

#include "dispatcher/store/liveness.h"
#include "tests/integration/store/store_test.h"

namespace postcall::dispatch {
namespace {

using metrics::Operation;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using store::Starter;

class Housekeeping : public store::StoreTest {
 protected:
  Housekeeping() {
    AddAgent("a");
    housekeeper_.RunDue();
  }

  SteadyTime RunAfter(Steady::duration pause) {
    now_ += pause;
    return housekeeper_.RunDue();
  }

  // What `prepare` made is there until the period is over, and only a later run of the chore changes it.
  // This is so in three periods, one after the other.
  template <class Prepare, class IsDone>
  void ExpectToRepeatEvery(Steady::duration period, const Prepare& prepare, const IsDone& is_done) {
    for (int run = 2; run <= 4; ++run) {
      prepare(run);
      RunAfter(period - milliseconds(1));
      EXPECT_FALSE(is_done(run)) << "run " << run << " came too early";
      RunAfter(milliseconds(1));
      ASSERT_TRUE(is_done(run)) << "run " << run;
    }
  }

  double Unknown() { return metrics_.deliveries(Outcome::kUnknown, Cause::kCompletion).Value(); }
  double Errors(Operation operation) { return metrics_.database_errors(operation).Value(); }
  // A call that is in flight under this dispatcher, for so long that its lease has expired.
  DeliveryId ClaimLongAgo(Starter& starter) {
    AddCalls("a", 1, "old-" + std::to_string(++calls_) + "-");
    const DeliveryId id = starter.ClaimAll(session_).to_send.at(0);
    MakeClaimOlder(id, "46 seconds");
    return id;
  }
  std::string OutcomeOf(const DeliveryId& id) {
    return Value("SELECT outcome FROM webhook_deliveries WHERE id = " + std::to_string(id.get()));
  }

  int calls_ = 0;
  SteadyTime now_ = Steady::now();
  bool others_connected_ = true;
  metrics::Metrics metrics_;
  Progress progress_;
  HeldDeliveries held_;
  Starter own_{"own"};
  Housekeeper housekeeper_{{.url = url_, .application_name = "housekeeping"},
                           own_.id(),
                           /*retention_days=*/30,
                           /*ledger_days=*/400,
                           held_,
                           [this] { return others_connected_; },
                           metrics_,
                           progress_,
                           [this] { return now_; }};
};

TEST_F(Housekeeping, SaysWhenTheNextChoreIsDue) {
  const SteadyTime start = now_;
  EXPECT_EQ(housekeeper_.RunDue(), start + milliseconds(250));
  EXPECT_EQ(RunAfter(milliseconds(100)), start + milliseconds(250));
  EXPECT_EQ(RunAfter(milliseconds(150)), start + milliseconds(500));
}

TEST_F(Housekeeping, MakesPartitionsEveryTenMinutes) {
  EXPECT_EQ(metrics_.partitions_ahead_days.Value(), 7);
  const std::string last =
      "webhook_deliveries_" + Value("SELECT to_char(max(day), 'YYYYMMDD') FROM webhook_partitions");
  const std::string is_there = "SELECT to_regclass('" + last + "') IS NOT NULL";
  ASSERT_EQ(Value(is_there), "t");
  ExpectToRepeatEvery(
      minutes(10),
      [&](int) {
        Query("DROP TABLE " + last);
        metrics_.partitions_ahead_days.Set(6);
      },
      [&](int) { return Value(is_there) == "t" && metrics_.partitions_ahead_days.Value() == 7; });
}

TEST_F(Housekeeping, DropsOldPartitionsEveryTenMinutes) {
  const std::string is_there = "SELECT to_regclass('webhook_deliveries_20200101') IS NOT NULL";
  ExpectToRepeatEvery(
      minutes(10),
      [&](int) {
        Query(
            "CREATE TABLE webhook_deliveries_20200101 PARTITION OF webhook_deliveries "
            "FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')");
      },
      [&](int) { return Value(is_there) == "f"; });
}

class HousekeepingOfWaitingCalls : public Housekeeping {
 protected:
  // The call waits for its analysis, for an hour at most.
  void LetWait(const std::string& call) {
    Query(
        "UPDATE webhook_outbox SET due_at = now() + interval '1 hour', awaits_analysis = true"
        " WHERE call_id = '" +
        call + "'");
  }
  bool IsDue(const std::string& call) {
    return Value(
               "SELECT due_at <= clock_timestamp() AND NOT awaits_analysis FROM webhook_outbox"
               " WHERE call_id = '" +
               call + "'") == "t";
  }
};

TEST_F(HousekeepingOfWaitingCalls, FollowsHintsEveryQuarterOfASecond) {
  AddCalls("a", 5, "hinted-");
  LetWait("hinted-5");
  RunAfter(seconds(1));  // it sees that a call waits
  ExpectToRepeatEvery(
      milliseconds(250),
      [&](int run) {
        LetWait("hinted-" + std::to_string(run));
        Query("INSERT INTO webhook_analysis_hints (call_id) VALUES ('hinted-" + std::to_string(run) + "')");
      },
      [&](int run) { return IsDue("hinted-" + std::to_string(run)); });
}

// An idle platform costs as little as possible.
TEST_F(HousekeepingOfWaitingCalls, FollowsHintsEverySecondWhileItKnowsOfNoWaitingCall) {
  AddCalls("a", 4, "first-");
  ExpectToRepeatEvery(
      seconds(1),
      [&](int run) {
        const std::string call = "first-" + std::to_string(run);
        LetWait(call);
        Query("INSERT INTO call_analysis (call_id, summary) VALUES ('" + call + "', 'A summary')");
      },
      [&](int run) {
        const bool is_due = IsDue("first-" + std::to_string(run));
        if (is_due) RunAfter(seconds(1));  // it sees that no call waits any more
        return is_due;
      });
}

TEST_F(HousekeepingOfWaitingCalls, ForgetsHintsThatNameNoWaitingCallEverySecond) {
  ExpectToRepeatEvery(
      seconds(1), [&](int) { Query("INSERT INTO webhook_analysis_hints (call_id) VALUES ('elsewhere')"); },
      [&](int) {
        const bool are_gone = Value("SELECT count(*) FROM webhook_analysis_hints") == "0";
        if (are_gone) RunAfter(seconds(1));  // it sees that there are none any more
        return are_gone;
      });
}

TEST_F(HousekeepingOfWaitingCalls, LooksForAnalysesWithoutAHintEverySecond) {
  AddCalls("a", 4, "analysed-");
  ExpectToRepeatEvery(
      seconds(1),
      [&](int run) {
        const std::string call = "analysed-" + std::to_string(run);
        Query("INSERT INTO call_analysis (call_id, summary) VALUES ('" + call + "', 'A summary')");
        Query("DELETE FROM webhook_analysis_hints");
        LetWait(call);
      },
      [&](int run) { return IsDue("analysed-" + std::to_string(run)); });
}

TEST_F(Housekeeping, WatchesTheOthersEveryFiveSeconds) {
  for (int round = 1; round <= 2; ++round) {
    Starter other("other");
    AddCalls("a", 1, "watched-" + std::to_string(round) + "-");
    const DeliveryId id = other.ClaimAll(session_).to_send.at(0);
    // The first look sees it; the seventh sees that it has not moved for 30 s.
    for (int look = 1; look <= 6; ++look) RunAfter(seconds(5));
    EXPECT_EQ(OutcomeOf(id), "in_flight") << "round " << round;
    RunAfter(seconds(5));
    ASSERT_EQ(OutcomeOf(id), "unknown") << "round " << round;
    EXPECT_EQ(Unknown(), round);
    EXPECT_EQ(Value("SELECT count(*) FROM webhook_dispatchers"), "0");
  }
}

TEST_F(Housekeeping, SweepsOrphansEveryFiveSeconds) {
  std::optional<DeliveryId> orphan;
  ExpectToRepeatEvery(
      seconds(5),
      [&](int) {
        Starter other("other");
        orphan = ClaimLongAgo(other);
        store::Unregister(session_, other.id());
      },
      [&](int run) { return OutcomeOf(*orphan) == "unknown" && Unknown() == run - 1; });
}

TEST_F(Housekeeping, SweepsItsOwnLostRowsEveryFiveSecondsAndNotTheHeldOnes) {
  const DeliveryId held = ClaimLongAgo(own_);
  const HeldRow token = held_.Hold(held);
  std::optional<DeliveryId> lost;
  ExpectToRepeatEvery(
      seconds(5), [&](int) { lost = ClaimLongAgo(own_); },
      [&](int run) { return OutcomeOf(*lost) == "unknown" && Unknown() == run - 1; });
  EXPECT_EQ(OutcomeOf(held), "in_flight");
}

TEST_F(Housekeeping, ForgetsClaimsThatAreOverEveryFiveSeconds) {
  ExpectToRepeatEvery(
      seconds(5),
      [&](int) {
        const DeliveryId over = ClaimLongAgo(own_);
        Query("UPDATE webhook_deliveries SET outcome = 'unknown', finished_at = now() WHERE id = " +
              std::to_string(over.get()));
      },
      [&](int) { return Value("SELECT count(*) FROM webhook_claims") == "0"; });
}

TEST_F(Housekeeping, SamplesTheOutboxEveryFifteenSeconds) {
  AddCalls("a", 4, "waiting-");
  ExpectToRepeatEvery(
      seconds(15),
      [&](int run) {
        if (run > 2)
          Query("DELETE FROM webhook_outbox WHERE call_id = 'waiting-" + std::to_string(run) + "'");
        Query("UPDATE webhook_outbox SET due_at = now() - " + std::to_string(run) +
              " * interval '90 seconds'");
      },
      [&](int run) {
        const double age = metrics_.outbox_oldest_age.Value();
        return metrics_.outbox_depth.Value() == 6 - run && age >= 90 * run && age < 90 * run + 60;
      });
}

TEST_F(Housekeeping, SamplesTheLatestDecisionsEveryFifteenSeconds) {
  AddAgent("mute", "{}");
  ExpectToRepeatEvery(
      seconds(15),
      [&](int run) {
        AddCalls("a", 2, "called-" + std::to_string(run) + "-");
        AddCalls("mute", 3, "declined-" + std::to_string(run) + "-");
      },
      [&](int run) {
        return metrics_.enqueued_recent.Value() == 2 * (run - 1) &&
               metrics_.declined_recent(DeclineReason::kNoUrl).Value() == 3 * (run - 1);
      });
}

TEST_F(Housekeeping, SamplesTheReconciliationEveryMinute) {
  AddCalls("a", 4, "lost-");
  ExpectToRepeatEvery(
      minutes(1),
      [&](int run) {
        Query("DELETE FROM webhook_outbox WHERE call_id = 'lost-" + std::to_string(run) + "'");
      },
      [&](int run) { return metrics_.unaccounted.Value() == run - 1; });
}

// One run notes the transactions that are open, and the next run closes the hour, so it takes two runs.
TEST_F(Housekeeping, ClosesHoursEveryTenMinutes) {
  const auto enqueue = [this](int hours_ago) {
    Query("INSERT INTO webhook_decisions (call_id, decided_at, agent_id) VALUES ('h" +
          std::to_string(hours_ago) + "', date_trunc('hour', now()) - " + std::to_string(hours_ago) +
          " * interval '1 hour', 'a')");
  };
  const auto closed = [this] { return std::stoi(Value("SELECT count(*) FROM webhook_summary")); };
  enqueue(5);
  ASSERT_EQ(closed(), 0);
  const SteadyTime end = Steady::now() + seconds(20);  // the transaction of an autovacuum may be open
  while (closed() == 0 && Steady::now() < end) RunAfter(minutes(10));
  const int first = closed();
  ASSERT_GT(first, 0);
  ExpectToRepeatEvery(
      minutes(10), [&](int) { Query("DELETE FROM webhook_summary"); },
      [&](int) { return closed() == first; });
}

TEST_F(Housekeeping, DeletesOldDecisionsEveryFiveMinutes) {
  ExpectToRepeatEvery(
      minutes(5),
      [&](int) {
        Query(
            "INSERT INTO webhook_declined VALUES ('old', 'no_url', now() - interval '402 days'),"
            " ('young', 'no_url', now() - interval '398 days') ON CONFLICT DO NOTHING");
      },
      [&](int) { return Value("SELECT string_agg(call_id, ' ') FROM webhook_declined") == "young"; });
}

TEST_F(Housekeeping, TriesAChoreThatFailedAgainAfterFifteenSecondsAndCountsEachFailure) {
  Query("INSERT INTO webhook_declined VALUES ('old', 'no_url', now() - interval '402 days')");
  Query("ALTER FUNCTION webhook_purge RENAME TO webhook_purge_away");
  RunAfter(minutes(5));
  EXPECT_EQ(Errors(Operation::kPartitions), 1);
  RunAfter(seconds(15) - milliseconds(1));
  EXPECT_EQ(Errors(Operation::kPartitions), 1) << "too early";
  RunAfter(milliseconds(1));
  EXPECT_EQ(Errors(Operation::kPartitions), 2);
  Query("ALTER FUNCTION webhook_purge_away RENAME TO webhook_purge");
  RunAfter(seconds(15) - milliseconds(1));
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_declined"), "1");
  RunAfter(milliseconds(1));
  EXPECT_EQ(Value("SELECT count(*) FROM webhook_declined"), "0");
  EXPECT_EQ(Errors(Operation::kPartitions), 2);
}

TEST_F(HousekeepingOfWaitingCalls, TriesAChoreThatFailedAgainAfterItsOwnPeriodWhenThatIsShorter) {
  AddCalls("a", 1, "waits-");
  LetWait("waits-1");
  RunAfter(seconds(1));  // it sees that a call waits
  Query("ALTER FUNCTION webhook_release_hinted RENAME TO webhook_release_away");
  for (int failure = 1; failure <= 3; ++failure) {
    RunAfter(milliseconds(250));
    EXPECT_EQ(Errors(Operation::kSweep), failure);
  }
}

TEST_F(Housekeeping, CountsAFailureUnderTheOperationOfItsChore) {
  Query("ALTER VIEW webhook_reconciliation RENAME TO webhook_reconciliation_away");
  RunAfter(minutes(1));
  for (const Operation operation : metrics::kOperations) {
    EXPECT_EQ(Errors(operation), operation == Operation::kSample ? 1 : 0) << metrics::ToString(operation);
  }
}

TEST_F(Housekeeping, WaitsWhileTheOthersHaveNoConnectionAndGoesOnAfterwards) {
  const auto connections = [this] {
    return Value(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'housekeeping'"
        " AND datname = current_database()");
  };
  const auto wait_for_connections = [&](const std::string& expected) {
    const SteadyTime end = Steady::now() + seconds(20);
    while (connections() != expected && Steady::now() < end) std::this_thread::yield();
    return connections() == expected;
  };
  ASSERT_TRUE(wait_for_connections("1"));
  others_connected_ = false;
  RunAfter(milliseconds(250));
  AddCalls("a", 1, "waiting-");
  for (int look = 0; look < 100; ++look) {
    const SteadyTime next = RunAfter(milliseconds(250));
    if (look > 4) {
      EXPECT_EQ(next, now_ + milliseconds(250));
    }
  }
  EXPECT_TRUE(wait_for_connections("0"));
  EXPECT_EQ(metrics_.outbox_depth.Value(), 0);
  others_connected_ = true;
  RunAfter(milliseconds(250));
  EXPECT_EQ(metrics_.outbox_depth.Value(), 1);
}

}  // namespace
}  // namespace postcall::dispatch
