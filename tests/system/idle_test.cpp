// What a dispatcher does again and again although no call is completed.
#include "tests/system/system_test.h"

namespace postcall::test {
namespace {

using namespace std::chrono_literals;

class Idle : public SystemTest {
 protected:
  Idle() { EXPECT_TRUE(service_.WaitUntilReady()); }

  int Number(const std::string& sql) { return std::stoi(platform_.Value(sql)); }

  Service service_{Run()};
};

// Its look at the database moves it as well, but only every 15 s.
TEST_F(Idle, MovesItsHeartbeatEveryFiveSeconds) {
  const int before = Number("SELECT heartbeats FROM webhook_dispatchers");
  const SteadyTime start = Steady::now();
  ASSERT_TRUE(platform_.WaitForValue(
      "SELECT heartbeats >= " + std::to_string(before + 4) + " FROM webhook_dispatchers", "t", 35s));
  EXPECT_GT(Seconds(Steady::now() - start), 10);
}

TEST_F(Idle, LooksAgainAndAgainWhetherTheDatabaseFits) {
  for (int round = 1; round <= 2; ++round) {
    platform_.Query("INSERT INTO webhook_migrations VALUES (99, 'of_the_future', now(), 99)");
    const SteadyTime limit = Steady::now() + 30s;
    while (service_.Get("/readyz").status != 503) ASSERT_LT(Steady::now(), limit) << "round " << round;
    EXPECT_THAT(service_.Get("/readyz").body, ::testing::HasSubstr("compatibility number 99"));
    platform_.Query("DELETE FROM webhook_migrations WHERE version = 99");
    ASSERT_TRUE(service_.WaitUntilReady()) << "round " << round;
  }
}

// The other sessions are in use all the time. The connection for outcomes waits, and is the one that a call
// would miss.
TEST_F(Idle, ReplacesTheConnectionForOutcomesEachTimeThatItIsLost) {
  const std::string sessions =
      " FROM pg_stat_activity WHERE datname = current_database() AND application_name = "
      "'postcall-dispatcher'";
  const std::string unused = sessions + " AND state_change < clock_timestamp() - interval '3 seconds'";
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(platform_.WaitForValue("SELECT count(*)" + unused, "1")) << "round " << round;
    ASSERT_EQ(Number("SELECT count(*)" + sessions), 3);
    const std::string lost = platform_.Value("SELECT pid" + unused);
    ASSERT_EQ(platform_.Value("SELECT pg_terminate_backend(" + lost + ")"), "t");
    ASSERT_TRUE(
        platform_.WaitForValue("SELECT count(*) = 3 AND bool_and(pid <> " + lost + ")" + sessions, "t"))
        << "round " << round;
    EXPECT_TRUE(service_.WaitUntilReady());
  }
}

}  // namespace
}  // namespace postcall::test
