// A completed call without analysis becomes due later, or when its analysis is committed (CONTRACT §3,
// "Waiting for the analysis").
#include "tests/integration/store/platform_database.h"

namespace postcall::test {
namespace {

class AnalysisWait : public PlatformDatabase {
 protected:
  AnalysisWait() { Configure(db_); }

  // As ALTER DATABASE … SET does for every new session.
  static void Configure(Client& client) { client.Run("SET postcall.analysis_wait = '1 hour'"); }

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
  // In a second in which it is not this call's turn.
  int ReleaseOutOfTurn(const std::string& call) {
    return db_.Number("SELECT webhook_release_analysed(id + 1) FROM webhook_outbox WHERE call_id = " +
                      Quote(call));
  }
  std::string Watched(const std::string& call) {
    return db_.Value("SELECT watched_until FROM webhook_outbox WHERE call_id = " + Quote(call));
  }
};

TEST_F(AnalysisWait, IsOffUnlessItIsSet) {
  db_.Run("RESET postcall.analysis_wait");
  Complete("c");
  EXPECT_TRUE(IsDue("c"));
}

TEST_F(AnalysisWait, HoldsACallWithoutAnalysis) {
  Complete("c");
  EXPECT_TRUE(Waits("c"));
  EXPECT_EQ(Release(), 0);
  EXPECT_TRUE(Waits("c"));
}

TEST_F(AnalysisWait, LetsACallThroughWhoseAnalysisIsThere) {
  InsertCall("c", "in_progress");
  db_.Run(InsertAnalysis("c"));
  SetStatus("c", "completed");
  EXPECT_TRUE(IsDue("c"));
}

TEST_F(AnalysisWait, LetsACallThroughWhoseAnalysisIsOfTheSameTransaction) {
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

TEST_F(AnalysisWait, EndsWhenTheAnalysisIsWritten) {
  Complete("c");
  db_.Run(InsertAnalysis("c"));
  EXPECT_EQ(ReleaseHinted(), 1);
  EXPECT_TRUE(IsDue("c"));
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_analysis_hints"), 0);
}

// A platform with tables of its own says so when there will be none.
TEST_F(AnalysisWait, EndsWhenThePlatformSaysSoThoughThereIsNone) {
  Complete("c");
  db_.Run("SELECT webhook_analysis_ready('c')");
  EXPECT_EQ(ReleaseHinted(), 1);
  EXPECT_TRUE(IsDue("c"));
}

// One that takes long or never ends, such as a prepared one, keeps nobody from claiming the call in time.
TEST_F(AnalysisWait, HoldsNoRowWhileTheAnalysisIsNotCommitted) {
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

TEST_F(AnalysisWait, LeavesNoHintOfACallThatDoesNotWait) {
  db_.Run("RESET postcall.analysis_wait");
  Complete("c");
  db_.Run(InsertAnalysis("c"));
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_analysis_hints"), 0);
}

TEST_F(AnalysisWait, EndsWhenAnEmptyAnalysisIsFilled) {
  InsertCall("c", "in_progress");
  db_.Run("INSERT INTO call_analysis (call_id) VALUES ('c')");
  SetStatus("c", "completed");
  EXPECT_TRUE(Waits("c"));
  db_.Run("UPDATE call_analysis SET score = 85");
  EXPECT_EQ(ReleaseHinted(), 1);
  EXPECT_TRUE(IsDue("c"));
}

TEST_F(AnalysisWait, DoesNotOutliveARollback) {
  Complete("c");
  db_.Run("BEGIN; " + InsertAnalysis("c") + "; ROLLBACK");
  EXPECT_TRUE(Waits("c"));
}

TEST_F(AnalysisWait, SeesAnAnalysisSideBySideWhenTheCompletionCommitsFirst) {
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

TEST_F(AnalysisWait, SeesAnAnalysisSideBySideWhenTheAnalysisCommitsFirst) {
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

TEST_F(AnalysisWait, NeverMakesTheAnalystWaitForAClaim) {
  Complete("c");
  Client dispatcher(url_);
  dispatcher.Run("BEGIN; SELECT FROM webhook_outbox WHERE call_id = 'c' FOR UPDATE");
  db_.Run("SET lock_timeout = '1s'");
  db_.Run(InsertAnalysis("c"));
  EXPECT_EQ(Release(), 0);
  dispatcher.Run("ROLLBACK");
  EXPECT_EQ(Release(), 1) << "what was locked is found later";
  EXPECT_TRUE(IsDue("c"));
}

TEST_F(AnalysisWait, NeverFailsAnAnalystOfStricterIsolation) {
  for (const std::string level : {"REPEATABLE READ", "SERIALIZABLE"}) {
    const std::string call = level == "SERIALIZABLE" ? "s" : "r";
    Complete(call);
    Complete(call + "2");
    Client analyst(url_);
    analyst.Run("BEGIN ISOLATION LEVEL " + level);
    analyst.Run("SELECT count(*) FROM calls");                             // takes its snapshot
    db_.Run("DELETE FROM webhook_outbox WHERE call_id = " + Quote(call));  // claimed
    analyst.Run(InsertAnalysis(call));
    analyst.Run(InsertAnalysis(call + "2"));
    analyst.Run("COMMIT");
    EXPECT_EQ(Release(), 1);
    EXPECT_TRUE(IsDue(call + "2"));
  }
}

TEST_F(AnalysisWait, ReleaseTakesWhatItCanAndSkipsWhatIsLocked) {
  db_.Run("INSERT INTO calls SELECT 'c' || n, 'agent', 'completed' FROM generate_series(1, 1500) n");
  db_.Run("ALTER TABLE call_analysis DISABLE TRIGGER USER");  // as if all had been side by side
  db_.Run("INSERT INTO call_analysis (call_id, mood) SELECT id, 'good' FROM calls");
  Client dispatcher(url_);
  dispatcher.Run("BEGIN; SELECT FROM webhook_outbox WHERE call_id = 'c1' FOR UPDATE");
  EXPECT_EQ(Release(), 1000);
  EXPECT_EQ(Release(), 499);
  dispatcher.Run("ROLLBACK");
  EXPECT_EQ(Release(), 1);
}

TEST_F(AnalysisWait, WatchesUntilTheTransactionsAreOverThatWereOpen) {
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
  EXPECT_NE(Watched("d"), "0") << "that one is open";
  other.Run("COMMIT");
  EXPECT_EQ(ReleaseOutOfTurn("d"), 0);
  EXPECT_EQ(Watched("d"), "0") << "nobody is left who could have missed it";
}

TEST_F(AnalysisWait, SeesAnAnalysisHoweverLongTheCompletionTook) {
  InsertCall("c", "in_progress");
  Client analyst(url_);
  db_.Run("BEGIN");
  SetStatus("c", "completed");
  analyst.Run(InsertAnalysis("c"));
  db_.Run("UPDATE webhook_outbox SET enqueued_at = enqueued_at - interval '1 hour'");
  db_.Run("COMMIT");
  EXPECT_EQ(ReleaseOutOfTurn("c"), 1);
}

TEST_F(AnalysisWait, IsToldByAnAnalystOfStricterIsolation) {
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
TEST_F(AnalysisWait, OfACallThatCannotBeReadIsOverAndHoldsUpNobodyElse) {
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
  db_.Run("UPDATE webhook_outbox SET awaits_analysis = true WHERE call_id = 'broken'");  // broken since
  db_.Run("ALTER TABLE call_analysis DISABLE TRIGGER USER");  // as if it had been side by side
  db_.Run(InsertAnalysis("analysed"));
  EXPECT_EQ(Release(), 2);
  EXPECT_TRUE(IsDue("analysed"));
  EXPECT_TRUE(Waits("waits"));
}

TEST_F(AnalysisWait, LooksInTurnAtCallsThatWaitForLong) {
  for (const std::string call : {"a", "b", "c"}) Complete(call);
  db_.Run("UPDATE webhook_outbox SET watched_until = '0'");
  db_.Run("ALTER TABLE call_analysis DISABLE TRIGGER USER");  // as if all had been side by side
  for (const std::string call : {"a", "b", "c"}) db_.Run(InsertAnalysis(call));
  int released = 0;
  for (int turn = 0; turn < 32; ++turn) {
    const int now = db_.Number("SELECT webhook_release_analysed(" + std::to_string(turn) + ")");
    EXPECT_LE(now, 1);
    released += now;
  }
  EXPECT_EQ(released, 3);
}

TEST_F(AnalysisWait, DoesNotPostponeACallThatIsDueAlready) {
  Complete("c");
  db_.Run("UPDATE webhook_outbox SET due_at = enqueued_at - interval '1 minute'");
  db_.Run(InsertAnalysis("c"));
  EXPECT_TRUE(db_.True("SELECT due_at < enqueued_at FROM webhook_outbox"));
}

TEST_F(AnalysisWait, ReadsAnySettingWithoutFailing) {
  const std::pair<std::string, std::string> meanings[] = {
      {"0", "00:00:00"},
      {"", "00:00:00"},
      {"30", "00:00:30"},
      {" 1.5 ", "00:00:01.5"},
      {"5 min", "00:05:00"},
      {"00:01:30", "00:01:30"},
      {"PT2M", "00:02:00"},
      {"1 day", "1 day"},
      {"-5", "00:00:00"},
      {"-1 hour", "00:00:00"},
      {"soon", "00:00:00"},
      {"NaN", "00:00:00"},
      {"1e400", "00:00:00"},
      {"'; --", "00:00:00"},
      {"999999999", "7 days"},
      {"2 years", "7 days"},
      {"178000000 years", "7 days"},
  };
  int n = 0;
  for (const auto& [setting, meaning] : meanings) {
    EXPECT_EQ(db_.Value("SELECT webhook_analysis_wait(" + Quote(setting) + ")"), meaning) << setting;
    db_.Run("SET postcall.analysis_wait = " + Quote(setting));
    const std::string call = "c" + std::to_string(++n);
    Complete(call);
    EXPECT_TRUE(db_.True("SELECT due_at - enqueued_at = " + Quote(meaning) +
                         "::interval FROM webhook_outbox WHERE call_id = '" + call + "'"))
        << setting;
  }
  for (const std::string garbage :
       {"infinity", "99999999999999999999", "999999999 years", "1 hour 1 furlong"}) {
    db_.Run("SET postcall.analysis_wait = " + Quote(garbage));
    const std::string call = "g" + std::to_string(++n);
    Complete(call);
    EXPECT_EQ(Enqueued(call), 1) << garbage;
  }
}

TEST_F(AnalysisWait, IsReadFromTheDatabasesSetting) {
  db_.Run(
      "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET postcall.analysis_wait = %L', current_database(), "
      "'45'); END $$");
  Client platform(url_);
  platform.Run("INSERT INTO calls (id, agent_id, status) VALUES ('c', 'agent', 'completed')");
  EXPECT_TRUE(db_.True("SELECT due_at = enqueued_at + interval '45 seconds' FROM webhook_outbox"));
}

}  // namespace
}  // namespace postcall::test
