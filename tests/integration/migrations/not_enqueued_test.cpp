// Which completed calls never enter the outbox: those of agents without a URL, of imports, and those that
// were completed before installation (CONTRACT §3, "Enqueueing").
#include "tests/integration/migrations/platform_database.h"

namespace postcall::test {
namespace {

class NotEnqueued : public PlatformDatabase {};

TEST_F(NotEnqueued, AnAgentWithoutUrlEnqueuesNothingThenOrLater) {
  InsertCall("c", "completed", "mute");
  EXPECT_EQ(Enqueued("c"), 0);
  EXPECT_EQ(InLedger("c"), 0);
  EXPECT_EQ(Declined("c"), "no_url");
  db_.Run(R"(UPDATE agents SET settings = '{"webhooks": {"postCall": "https://late.example.com"}}')");
  SetStatus("c", "failed");
  SetStatus("c", "completed");
  EXPECT_EQ(Enqueued("c"), 0) << "the decision is final";
}

TEST_F(NotEnqueued, AnImportEnqueuesNothingThenOrLater) {
  int n = 0;
  for (const std::string off : {"off", "OFF", " false", "no", "0"}) {
    const std::string call = "c" + std::to_string(++n);
    db_.Run("BEGIN");
    db_.Run("SET LOCAL postcall.enqueue = " + Quote(off));
    InsertCall(call, "completed");
    db_.Run("COMMIT");
    EXPECT_EQ(Enqueued(call), 0) << off;
    EXPECT_EQ(Declined(call), "") << "an import of millions of calls writes no rows of ours";
    SetStatus(call, "failed");
    EXPECT_EQ(Declined(call), "completed_unseen");
    SetStatus(call, "completed");
    EXPECT_EQ(Enqueued(call), 0) << "it was completed by the import";
  }
  InsertCall("after", "completed");
  EXPECT_EQ(Enqueued("after"), 1) << "the setting ends with its transaction";
}

TEST_F(NotEnqueued, AnySettingButOffMeansOn) {
  for (const std::string on : {"on", "", "true", "1", "rubbish"}) {
    db_.Run("SET postcall.enqueue = " + Quote(on));
    InsertCall("c" + on, "completed");
    EXPECT_EQ(Enqueued("c" + on), 1) << on;
  }
}

TEST_F(NotEnqueued, AnImportByDirectCallIsDeclinedAtOnce) {
  InsertCall("c", "in_progress");
  db_.Run("SET postcall.enqueue = off; SELECT webhook_enqueue('c'); RESET postcall.enqueue");
  EXPECT_EQ(Declined("c"), "switched_off");
  db_.Run("SELECT webhook_enqueue('c')");
  EXPECT_EQ(Enqueued("c"), 0);
}

class BeforeInstallation : public PlatformDatabase {
 protected:
  // As if these calls had been completed before the triggers were created.
  BeforeInstallation() {
    db_.Run("ALTER TABLE calls DISABLE TRIGGER USER");
    InsertCall("old", "completed");
    db_.Run("ALTER TABLE calls ENABLE TRIGGER USER");
  }
};

TEST_F(BeforeInstallation, CompletedCallsStayOutWhenTheyAreUpdated) {
  db_.Run("UPDATE calls SET recording_uri = 'new', status = 'completed'");
  EXPECT_EQ(Enqueued("old"), 0);
  EXPECT_EQ(Declined("old"), "");
}

TEST_F(BeforeInstallation, CompletedCallsStayOutWhenTheirStatusFlips) {
  SetStatus("old", "failed");
  SetStatus("old", "completed");
  EXPECT_EQ(Enqueued("old"), 0);
}

TEST_F(BeforeInstallation, CompletedCallsStayOutWhenTheyAreDeletedAndInsertedAgain) {
  db_.Run("DELETE FROM calls");
  InsertCall("old", "completed");
  EXPECT_EQ(Enqueued("old"), 0);
}

TEST_F(BeforeInstallation, CompletedCallsStayOutWhenTheTableIsTruncatedAndFilledAgain) {
  db_.Run("TRUNCATE agents CASCADE");
  db_.Run(R"(INSERT INTO agents VALUES ('agent', 'A', '{"webhooks": {"postCall": "https://x"}}'))");
  InsertCall("old", "completed");
  InsertCall("new", "completed");
  EXPECT_EQ(Enqueued("old"), 0);
  EXPECT_EQ(Enqueued("new"), 1);
}

TEST_F(BeforeInstallation, CompletedCallsStayOutWhenTheirIdChanges) {
  db_.Run("UPDATE calls SET id = 'renamed'");
  SetStatus("renamed", "failed");
  SetStatus("renamed", "completed");
  InsertCall("old", "completed");
  EXPECT_EQ(db_.Number("SELECT count(*) FROM webhook_outbox"), 0);
}

TEST_F(BeforeInstallation, UnfinishedCallsStillEnterTheOutbox) {
  db_.Run("ALTER TABLE calls DISABLE TRIGGER USER");
  InsertCall("running", "in_progress");
  db_.Run("ALTER TABLE calls ENABLE TRIGGER USER");
  SetStatus("running", "completed");
  EXPECT_EQ(Enqueued("running"), 1);
}

// --- Two transactions, and two roles.

}  // namespace
}  // namespace postcall::test
