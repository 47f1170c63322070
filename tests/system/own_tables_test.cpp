// A platform with tables of its own: the dispatcher uses only two views and two functions.
#include <map>

#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class OwnTables : public SystemTest {
 protected:
  OwnTables() {
    Platform own(url_);
    own.Query("CREATE TABLE bots (bot uuid PRIMARY KEY, title text, hook text)");
    own.Query(
        "CREATE TABLE sessions (sid bigint PRIMARY KEY, bot uuid, audio text, who text, notes text, done "
        "boolean)");
    own.Query(
        "CREATE VIEW webhook_agents AS SELECT bot::text AS id, title AS name,"
        " jsonb_build_object('webhooks', jsonb_build_object('postCall', hook)) AS settings FROM bots");
    std::string nothing;
    for (const std::string column :
         {"email", "scheduled_time", "address", "pincode", "city", "state", "country", "age", "gender",
          "occupation", "company", "preferred_contact_method", "best_time_to_call", "language", "mood",
          "call_outcome", "classification", "transcript_uri", "name"}) {
      nothing += ", NULL::text AS " + column;
    }
    own.Query(
        "CREATE VIEW webhook_source AS SELECT sid::text AS call_id, bot::text AS agent_id, audio AS "
        "recording_uri,"
        " who AS phone_number, notes AS summary, NULL::numeric AS score, NULL::jsonb AS interests_and_needs,"
        " NULL::jsonb AS action_items, NULL::jsonb AS sentiment, done AS completed" +
        nothing + " FROM sessions");
  }

  const std::string url_ = SharedPostgres().CreateDatabase();
};

TEST_F(OwnTables, AreServedByTwoViewsAndTwoFunctions) {
  Service migrate({.command = "migrate", .arguments = {"--own-tables", "--database-url", url_}});
  ASSERT_EQ(migrate.Wait(20s), 0) << migrate.log();
  const Service own_service(Run({"--database-url", url_}));
  ASSERT_TRUE(own_service.WaitUntilReady());
  Platform owner(url_);
  owner.Query("CREATE ROLE platform_of_own_tables LOGIN");
  owner.Query("GRANT SELECT, INSERT, UPDATE ON bots, sessions TO platform_of_own_tables");
  Platform own(SharedPostgres().Url(owner.Value("SELECT current_database()"), "platform_of_own_tables"));
  EXPECT_THROW(own.Query("SELECT FROM webhook_outbox"), pqxx::insufficient_privilege);
  own.Query("INSERT INTO bots VALUES ('6f1c2f3e-58f4-4b0e-9a5b-0d3c8a1b2c3d', 'Bot', '" +
            endpoint_.Url("/own") + "')");
  const std::string session =
      "INSERT INTO sessions SELECT n, bot, 'https://a', '+1', 'fine', true FROM bots,"
      " generate_series(1, 3) AS n";
  own.Query("BEGIN; " + session + "; SELECT webhook_enqueue('1'), webhook_enqueue('2'); COMMIT");
  own.Query("SELECT webhook_enqueue('1')");
  own.Query("SELECT webhook_enqueue('no such call')");
  own.Query("BEGIN; SELECT webhook_enqueue('3'); ROLLBACK");
  own.Query(
      "BEGIN; SET LOCAL postcall.wait_for = 'analysis'; SET LOCAL postcall.wait_at_most = '1 hour';"
      " INSERT INTO sessions SELECT 4, bot, NULL, NULL, NULL, true FROM bots; SELECT webhook_enqueue('4'); "
      "COMMIT");
  own.Query("BEGIN; UPDATE sessions SET notes = 'late' WHERE sid = 4; SELECT webhook_ready('4'); COMMIT");
  const Oracle oracle(url_, {&endpoint_.ledger()});
  EXPECT_TRUE(oracle.WaitUntilSettled());
  EXPECT_THAT(oracle.Violations({}, {&own_service}), ::testing::IsEmpty());
  const std::string rest =
      R"(","recordingUri":"https://a","callerDetails":{"phoneNumber":"+1"},"callAnalysis":{"summary":"fine"}})";
  std::map<std::string, std::string> bodies;
  for (const RequestEntry& request : endpoint_.ledger().Requests()) bodies[request.call_id] = request.body;
  EXPECT_EQ(bodies, (std::map<std::string, std::string>{
                        {"1", R"({"callId":"1)" + rest},
                        {"2", R"({"callId":"2)" + rest},
                        {"4", R"({"callId":"4","callerDetails":{},"callAnalysis":{"summary":"late"}})"}}));
}

}  // namespace
}  // namespace postcall::test
