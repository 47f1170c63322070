// A completed call that lacks a part becomes due later, or when the part is committed (CONTRACT §3, "Waiting
// for parts").
#include <gmock/gmock.h>

#include "tests/integration/migrations/platform_database.h"

namespace postcall::test {
namespace {

class WaitFor : public PlatformDatabase {
 protected:
  WaitFor() { Configure(db_); }

  // Makes the setting that ALTER DATABASE … SET would make in every new session.
  static void Configure(Client& client) {
    client.Run("SET postcall.wait_for = 'analysis'; SET postcall.wait_at_most = '1 hour'");
  }

  void Complete(const std::string& call) { InsertCall(call, "completed"); }

  static std::string InsertAnalysis(const std::string& call) {
    return "INSERT INTO call_analysis (call_id, summary) VALUES ('" + call + "', 'fine')";
  }

  bool IsDue(const std::string& call) {
    return db_.True(
        "SELECT due_at <= clock_timestamp() AND NOT awaits_analysis FROM webhook_outbox WHERE call_id = " +
        Quote(call));
  }
  bool Waits(const std::string& call) {
    return db_.True(
        "SELECT due_at = enqueued_at + interval '1 hour' AND awaits_analysis"
        "  FROM webhook_outbox WHERE call_id = " +
        Quote(call));
  }
  int ReleaseHinted() { return db_.Number("SELECT webhook_release_hinted()"); }
  int Release() { return db_.Number("SELECT webhook_release_analysed()"); }
  // Releases in a second in which it is not this call's turn.
  int ReleaseOutOfTurn(const std::string& call) {
    return db_.Number("SELECT webhook_release_analysed(id + 1) FROM webhook_outbox WHERE call_id = " +
                      Quote(call));
  }
  std::string Watched(const std::string& call) {
    return db_.Value("SELECT watched_until FROM webhook_outbox WHERE call_id = " + Quote(call));
  }
};

TEST_F(WaitFor, IsOffUnlessItIsSet) {
  db_.Run("RESET postcall.wait_for");
  Complete("c");
  EXPECT_TRUE(IsDue("c"));
}

TEST_F(WaitFor, HoldsACallWithoutAnalysis) {
  Complete("c");
  EXPECT_TRUE(Waits("c"));
  EXPECT_EQ(Release(), 0);
  EXPECT_TRUE(Waits("c"));
}

TEST_F(WaitFor, DoesNotHoldACallThatHasItsAnalysis) {
  InsertCall("c", "in_progress");
  db_.Run(InsertAnalysis("c"));
  SetStatus("c", "completed");
  EXPECT_TRUE(IsDue("c"));
}

TEST_F(WaitFor, DoesNotHoldACallWhoseAnalysisIsOfTheSameTransaction) {
  db_.Run("BEGIN");
  Complete("before");
  db_.Run(InsertAnalysis("before"));
  InsertCall("after", "in_progress");
  db_.Run(InsertAnalysis("after"));
  SetStatus("after", "completed");
  db_.Run("COMMIT");
  EXPECT_TRUE(IsDue("before"));
  EXPECT_TRUE(IsDue("after"));
}

TEST_F(WaitFor, EndsWhenTheAnalysisIsWritten) {
  Complete("c");
  db_.Run(InsertAnalysis("c"));
  EXPECT_EQ(ReleaseHinted(), 1);
  EXPECT_TRUE(IsDue("c"));
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_analysis_hints"), 0);
}

// A platform with tables of its own calls webhook_ready when there will be no analysis.
TEST_F(WaitFor, EndsWhenThePlatformSaysSoEvenWithoutAnalysis) {
  Complete("c");
  db_.Run("SELECT webhook_ready('c')");
  EXPECT_EQ(ReleaseHinted(), 1);
  EXPECT_TRUE(IsDue("c"));
}

// A transaction that takes long or never ends, such as a prepared one, must not keep a dispatcher from
// claiming the call in time.
TEST_F(WaitFor, HoldsNoRowWhileTheAnalysisIsNotCommitted) {
  Complete("c");
  Client analyst(url_);
  analyst.Run("BEGIN; " + InsertAnalysis("c"));
  EXPECT_EQ(ReleaseHinted(), 0);
  db_.Run("BEGIN");
  EXPECT_EQ(db_.Value("SELECT call_id FROM webhook_outbox FOR UPDATE SKIP LOCKED"), "c");
  db_.Run("COMMIT");
  analyst.Run("COMMIT");
  EXPECT_EQ(ReleaseHinted(), 1);
  EXPECT_TRUE(IsDue("c"));
}

TEST_F(WaitFor, LeavesNoHintForACallThatDoesNotWait) {
  db_.Run("RESET postcall.wait_for");
  Complete("c");
  db_.Run(InsertAnalysis("c"));
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_analysis_hints"), 0);
}

TEST_F(WaitFor, EndsWhenAnEmptyAnalysisIsFilled) {
  InsertCall("c", "in_progress");
  db_.Run("INSERT INTO call_analysis (call_id) VALUES ('c')");
  SetStatus("c", "completed");
  EXPECT_TRUE(Waits("c"));
  db_.Run("UPDATE call_analysis SET score = 85");
  EXPECT_EQ(ReleaseHinted(), 1);
  EXPECT_TRUE(IsDue("c"));
}

TEST_F(WaitFor, DoesNotEndWhenTheAnalysisIsRolledBack) {
  Complete("c");
  db_.Run("BEGIN; " + InsertAnalysis("c") + "; ROLLBACK");
  EXPECT_TRUE(Waits("c"));
}

TEST_F(WaitFor, SeesAConcurrentAnalysisWhenTheCompletionCommitsFirst) {
  InsertCall("c", "in_progress");
  Client analyst(url_);
  db_.Run("BEGIN");
  analyst.Run("BEGIN");
  SetStatus("c", "completed");
  analyst.Run(InsertAnalysis("c"));
  db_.Run("COMMIT");
  EXPECT_EQ(Release(), 0) << "the analysis is not committed";
  EXPECT_TRUE(Waits("c"));
  analyst.Run("COMMIT");
  EXPECT_EQ(Release(), 1);
  EXPECT_TRUE(IsDue("c"));
  EXPECT_EQ(Release(), 0);
}

TEST_F(WaitFor, SeesAConcurrentAnalysisWhenTheAnalysisCommitsFirst) {
  InsertCall("c", "in_progress");
  Client analyst(url_);
  analyst.Run("BEGIN");
  db_.Run("BEGIN");
  analyst.Run(InsertAnalysis("c"));
  SetStatus("c", "completed");
  analyst.Run("COMMIT");
  db_.Run("COMMIT");
  EXPECT_TRUE(Waits("c"));
  EXPECT_EQ(Release(), 1);
  EXPECT_TRUE(IsDue("c"));
}

TEST_F(WaitFor, NeverMakesTheWriterOfAnAnalysisWaitForAClaim) {
  Complete("c");
  Client dispatcher(url_);
  dispatcher.Run("BEGIN; SELECT FROM webhook_outbox WHERE call_id = 'c' FOR UPDATE");
  db_.Run("SET lock_timeout = '1s'");
  db_.Run(InsertAnalysis("c"));
  EXPECT_EQ(Release(), 0);
  dispatcher.Run("ROLLBACK");
  EXPECT_EQ(Release(), 1) << "a locked row is found later";
  EXPECT_TRUE(IsDue("c"));
}

TEST_F(WaitFor, NeverFailsAWriterOfStricterIsolation) {
  for (const std::string level : {"REPEATABLE READ", "SERIALIZABLE"}) {
    const std::string call = level == "SERIALIZABLE" ? "s" : "r";
    Complete(call);
    Complete(call + "2");
    Client analyst(url_);
    analyst.Run("BEGIN ISOLATION LEVEL " + level);
    analyst.Run("SELECT count(*) FROM calls");                             // this takes the snapshot
    db_.Run("DELETE FROM webhook_outbox WHERE call_id = " + Quote(call));  // claimed
    analyst.Run(InsertAnalysis(call));
    analyst.Run(InsertAnalysis(call + "2"));
    analyst.Run("COMMIT");
    EXPECT_EQ(Release(), 1);
    EXPECT_TRUE(IsDue(call + "2"));
  }
}

TEST_F(WaitFor, ReleasesWhatItCanAndSkipsLockedRows) {
  db_.Run("INSERT INTO calls SELECT 'c' || n, 'agent', 'completed' FROM generate_series(1, 1500) n");
  db_.Run("ALTER TABLE call_analysis DISABLE TRIGGER USER");  // as if all had been concurrent
  db_.Run("INSERT INTO call_analysis (call_id, mood) SELECT id, 'good' FROM calls");
  Client dispatcher(url_);
  dispatcher.Run("BEGIN; SELECT FROM webhook_outbox WHERE call_id = 'c1' FOR UPDATE");
  const int first = Release();  // the locked row may be among the thousand that it reads
  EXPECT_GE(first, 999);
  EXPECT_EQ(first + Release(), 1499);
  dispatcher.Run("ROLLBACK");
  EXPECT_EQ(Release(), 1);
}

TEST_F(WaitFor, WatchesUntilTheTransactionsThatWereOpenAreOver) {
  InsertCall("c", "in_progress");
  Client analyst(url_);
  analyst.Run("BEGIN");
  analyst.Run(InsertAnalysis("c"));
  SetStatus("c", "completed");
  for (int look = 0; look < 3; ++look) EXPECT_EQ(ReleaseOutOfTurn("c"), 0);
  Client other(url_);  // began later, so it is not waited for
  other.Run("BEGIN; SELECT pg_current_xact_id()");
  analyst.Run("COMMIT");
  EXPECT_EQ(ReleaseOutOfTurn("c"), 1);
  EXPECT_TRUE(IsDue("c"));

  Complete("d");
  EXPECT_EQ(ReleaseOutOfTurn("d"), 0);
  EXPECT_NE(Watched("d"), "0") << "that transaction is open";
  other.Run("COMMIT");
  EXPECT_EQ(ReleaseOutOfTurn("d"), 0);
  EXPECT_EQ(Watched("d"), "0") << "no transaction is left that could have missed it";
}

TEST_F(WaitFor, SeesAnAnalysisHoweverLongTheCompletionTook) {
  InsertCall("c", "in_progress");
  Client analyst(url_);
  db_.Run("BEGIN");
  SetStatus("c", "completed");
  analyst.Run(InsertAnalysis("c"));
  db_.Run("UPDATE webhook_outbox SET enqueued_at = enqueued_at - interval '1 hour'");
  db_.Run("COMMIT");
  EXPECT_EQ(ReleaseOutOfTurn("c"), 1);
}

TEST_F(WaitFor, EndsByAHintOfAWriterOfStricterIsolation) {
  Complete("c");
  EXPECT_EQ(ReleaseOutOfTurn("c"), 0);
  EXPECT_EQ(Watched("c"), "0");
  Client analyst(url_);
  Configure(analyst);
  analyst.Run("BEGIN ISOLATION LEVEL SERIALIZABLE");
  analyst.Run(InsertAnalysis("c"));
  analyst.Run("COMMIT");
  EXPECT_EQ(ReleaseOutOfTurn("c"), 1);
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_analysis_hints"), 0);
}

// A platform's own view may raise an error for a row.
TEST_F(WaitFor, OfACallThatCannotBeReadEndsAndDelaysNoOther) {
  db_.Run("ALTER VIEW webhook_source RENAME TO whole_source");
  db_.Run(R"(CREATE VIEW webhook_source AS
             SELECT call_id, agent_id, recording_uri, transcript_uri, name, phone_number, email, scheduled_time, address,
                    pincode, city, state, country, age, gender, occupation, company, preferred_contact_method,
                    best_time_to_call, language, summary, mood,
                    CASE WHEN call_id LIKE 'broken%' THEN call_id::numeric ELSE score END AS score,
                    call_outcome, classification, interests_and_needs, action_items, sentiment, completed
               FROM whole_source)");
  Complete("waits");
  Complete("analysed");
  Complete("broken");
  EXPECT_TRUE(IsDue("broken")) << "there is nothing to wait for";
  // As if the view had become broken later.
  db_.Run("UPDATE webhook_outbox SET awaits_analysis = true WHERE call_id = 'broken'");
  db_.Run("ALTER TABLE call_analysis DISABLE TRIGGER USER");  // as if it had been concurrent
  db_.Run(InsertAnalysis("analysed"));
  EXPECT_EQ(Release(), 2);
  EXPECT_TRUE(IsDue("analysed"));
  EXPECT_TRUE(Waits("waits"));
}

TEST_F(WaitFor, ChecksInTurnCallsThatWaitForLong) {
  for (const std::string call : {"a", "b", "c"}) Complete(call);
  db_.Run("UPDATE webhook_outbox SET watched_until = '0'");
  db_.Run("ALTER TABLE call_analysis DISABLE TRIGGER USER");  // as if all had been concurrent
  for (const std::string call : {"a", "b", "c"}) db_.Run(InsertAnalysis(call));
  int released = 0;
  for (int turn = 0; turn < 32; ++turn) {
    const int now = db_.Number("SELECT webhook_release_analysed(" + std::to_string(turn) + ")");
    EXPECT_LE(now, 1);
    released += now;
  }
  EXPECT_EQ(released, 3);
}

TEST_F(WaitFor, DoesNotPostponeACallThatIsDueAlready) {
  Complete("c");
  db_.Run("UPDATE webhook_outbox SET due_at = enqueued_at - interval '1 minute'");
  db_.Run(InsertAnalysis("c"));
  EXPECT_TRUE(db_.True("SELECT due_at < enqueued_at FROM webhook_outbox"));
}

TEST_F(WaitFor, ReadsAnyIntervalWithoutFailing) {
  const std::pair<std::string, std::string> meanings[] = {
      {"0", "00:00:00"},
      {"", "00:01:00"},
      {"30", "00:00:30"},
      {" 1.5 ", "00:00:01.5"},
      {"5 min", "00:05:00"},
      {"00:01:30", "00:01:30"},
      {"PT2M", "00:02:00"},
      {"1 day", "1 day"},
      {"-5", "00:00:00"},
      {"-1 hour", "00:00:00"},
      {"soon", "00:01:00"},
      {"NaN", "00:01:00"},
      {"1e400", "00:01:00"},
      {"'; --", "00:01:00"},
      {"999999999", "7 days"},
      {"2 years", "7 days"},
      {"178000000 years", "7 days"},
  };
  int n = 0;
  for (const auto& [setting, meaning] : meanings) {
    EXPECT_EQ(db_.Value("SELECT webhook_wait_at_most(" + Quote(setting) + ")"), meaning) << setting;
    db_.Run("SET postcall.wait_at_most = " + Quote(setting));
    const std::string call = "c" + std::to_string(++n);
    Complete(call);
    EXPECT_TRUE(db_.True("SELECT due_at - enqueued_at = " + Quote(meaning) +
                         "::interval FROM webhook_outbox WHERE call_id = '" + call + "'"))
        << setting;
  }
  for (const std::string garbage :
       {"infinity", "99999999999999999999", "999999999 years", "1 hour 1 furlong"}) {
    db_.Run("SET postcall.wait_at_most = " + Quote(garbage));
    const std::string call = "g" + std::to_string(++n);
    Complete(call);
    EXPECT_EQ(Enqueued(call), 1) << garbage;
  }
  EXPECT_THAT(SharedPostgres().log(),
              ::testing::HasSubstr("postcall.wait_at_most: \"soon\" is not an interval"));
}

TEST_F(WaitFor, TakesAMinuteAtMostUnlessItIsSetOtherwise) {
  db_.Run("RESET postcall.wait_at_most");
  Complete("c");
  EXPECT_TRUE(
      db_.True("SELECT due_at = enqueued_at + interval '60 s' AND awaits_analysis FROM webhook_outbox"));
}

// A part that is misspelt, or that this version does not know, fails no transaction of the platform and holds
// no call.
TEST_F(WaitFor, ReadsAnyListOfPartsWithoutFailing) {
  const std::pair<std::string, std::string> meanings[] = {
      {"analysis", "{analysis}"},
      {" Analysis ", "{analysis}"},
      {"transcript, analysis", "{analysis}"},
      {"transcript", "{}"},
      {"analisys", "{}"},
      {",,", "{}"},
      {"", "{}"},
      {"1 hour", "{}"},
      {"'; --", "{}"},
      {std::string(5000, 'x'), "{}"},
  };
  int n = 0;
  for (const auto& [setting, meaning] : meanings) {
    EXPECT_EQ(db_.Value("SELECT webhook_wait_for(" + Quote(setting) + ")"), meaning) << setting;
    db_.Run("SET postcall.wait_for = " + Quote(setting));
    const std::string call = "c" + std::to_string(++n);
    Complete(call);
    EXPECT_EQ(Waits(call), meaning == "{analysis}") << setting;
    EXPECT_EQ(IsDue(call), meaning == "{}") << setting;
  }
  EXPECT_THAT(SharedPostgres().log(),
              ::testing::HasSubstr("postcall.wait_for: calls cannot wait for \"analisys\""));
}

TEST_F(WaitFor, IsReadFromTheDatabasesSettings) {
  const std::string set = "ALTER DATABASE " + db_.Value("SELECT current_database()") + " SET postcall.";
  db_.Run(set + "wait_for = 'analysis'");
  db_.Run(set + "wait_at_most = '45'");
  Client platform(url_);
  platform.Run("INSERT INTO calls (id, agent_id, status) VALUES ('c', 'agent', 'completed')");
  EXPECT_TRUE(db_.True("SELECT due_at = enqueued_at + interval '45 seconds' FROM webhook_outbox"));
}

}  // namespace
}  // namespace postcall::test
