// A migrated database with one agent that has a URL, and functions that act as the platform. One thread.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/support/client.h"
#include "tests/support/private_postgres.h"

namespace postcall::test {

class PlatformDatabase : public ::testing::Test {
 protected:
  PlatformDatabase() {
    db_.Run(R"(INSERT INTO agents VALUES
                 ('agent', 'Agent', '{"webhooks": {"postCall": "https://example.com/hook"}}'),
                 ('mute', 'Mute', '{}'))");
  }

  void InsertCall(const std::string& call, const std::string& status, const std::string& agent = "agent") {
    db_.Run("INSERT INTO calls (id, agent_id, status) VALUES (" + Quote(call) + ", " + Quote(agent) + ", " +
            Quote(status) + ")");
  }

  void SetStatus(const std::string& call, const std::string& status) {
    db_.Run("UPDATE calls SET status = " + Quote(status) + " WHERE id = " + Quote(call));
  }

  static std::string Quote(const std::string& text) { return "$q$" + text + "$q$"; }

  // How often the call was enqueued: its rows in the outbox. (No dispatcher runs.)
  int Enqueued(const std::string& call) {
    return db_.Number("SELECT count(*) FROM webhook_outbox WHERE call_id = " + Quote(call));
  }
  int InLedger(const std::string& call) {
    return db_.Number("SELECT count(*) FROM webhook_enqueued WHERE call_id = " + Quote(call));
  }
  // Why the call was declined; empty when it was not.
  std::string Declined(const std::string& call) {
    return db_.Value("SELECT reason FROM webhook_declined WHERE call_id = " + Quote(call));
  }

  const std::string url_ = SharedPostgres().CreateMigratedDatabase();
  Client db_{url_};
};

}  // namespace postcall::test
