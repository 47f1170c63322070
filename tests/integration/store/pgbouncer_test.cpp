// Through PgBouncer in transaction mode, where no state of a session stays between transactions.
#include "tests/support/pgbouncer.h"

#include "dispatcher/postgres/transaction.h"
#include "dispatcher/store/confirm.h"
#include "dispatcher/store/record.h"
#include "tests/integration/store/store_test.h"

namespace postcall::store {
namespace {

using ::testing::SizeIs;

class ThroughPgBouncer : public StoreTest {
 protected:
  test::PgBouncer pgbouncer_{test::SharedPostgres(), 1};
};

TEST_F(ThroughPgBouncer, TwoDispatchersClaimAndRecordOverOneServerConnection) {
  AddAgent("a");
  AddCalls("a", 40, "a");
  const std::string url = pgbouncer_.Url(platform_.dbname());
  postgres::Session first({.url = url, .application_name = "first"});
  postgres::Session second({.url = url, .application_name = "second"});
  Starter one, two;
  for (int turn = 0; turn < 10; ++turn) {
    for (auto [session, dispatcher] : {std::pair(&first, &one), std::pair(&second, &two)}) {
      const Made claimed = dispatcher->ClaimAll(*session, 2);
      ASSERT_THAT(claimed.to_send, SizeIs(2));
      EXPECT_THAT(Confirm(*session, dispatcher->id(), KeysOf(claimed)).still_ours, SizeIs(2));
      const std::vector<Finished> finished = {Delivered(KeyOf(claimed, 0)), Delivered(KeyOf(claimed, 1))};
      const Recorded recorded = Record(*session, finished);
      EXPECT_TRUE(recorded.lost.empty() && recorded.refused.empty());
    }
  }
  EXPECT_EQ(Log("delivered"), 40);
  postgres::Transaction transaction(first);
  EXPECT_STREQ(transaction.Exec("SELECT count(*) FROM pg_prepared_statements")[0][0].c_str(), "0")
      << "PgBouncer 1.18 would lend them to others, or lose them";
  EXPECT_EQ(first.connection_number(), 1u);
}

}  // namespace
}  // namespace postcall::store
