// Statements are prepared once per connection. Through a pooler no statement is prepared.
#include "dispatcher/postgres/transaction.h"
#include "tests/integration/postgres/session_test.h"
#include "tests/support/pgbouncer.h"

namespace postcall::postgres {
namespace {

class PreparedStatements : public SessionTest {
 protected:
  static int Exec(Session& session, const char* statement) {
    Transaction transaction(session);
    const int value = transaction.ExecPrepared(statement, 9)[0][0].as<int>();
    transaction.Commit();
    return value;
  }
  // Without those of the settings.
  static int Prepared(Session& session) {
    Transaction transaction(session);
    return transaction
        .Exec("SELECT count(*) FROM pg_prepared_statements WHERE statement NOT LIKE '%SELECT set_config%'")[0]
                                                                                                           [0]
        .as<int>();
  }

  static constexpr const char* kStatement = "SELECT 1 + $1::int";
};

TEST_F(PreparedStatements, ArePreparedOncePerDirectConnection) {
  EXPECT_EQ(Exec(session_, kStatement), 10);
  EXPECT_EQ(Exec(session_, kStatement), 10);
  EXPECT_EQ(Exec(session_, "SELECT 2 + $1::int"), 11);
  EXPECT_EQ(Prepared(session_), 2);
}

// libpqxx 7 prepares a statement at once, libpqxx 6 when it is used.
TEST_F(PreparedStatements, ThatTheServerRefusesArePreparedTheNextTime) {
  constexpr const char* kNotYet = "SELECT 6 / n FROM not_yet WHERE n < $1";
  const auto refusal = [&] {
    try {
      Exec(session_, kNotYet);
      return std::string();
    } catch (const Refused& error) {
      return error.sqlstate() + " " + error.what();
    }
  };
  EXPECT_EQ(refusal(), "42P01 relation \"not_yet\" does not exist");
  EXPECT_EQ(refusal(), "42P01 relation \"not_yet\" does not exist");
  Query("CREATE TABLE not_yet AS SELECT 0 AS n");
  EXPECT_EQ(refusal(), "22012 division by zero");
  Query("UPDATE not_yet SET n = 2");
  EXPECT_EQ(Exec(session_, kNotYet), 3);
  EXPECT_EQ(Prepared(session_), 1);
  EXPECT_EQ(session_.connection_number(), 1u);
}

// A pooler that passes on the server's process id would cause this.
TEST_F(PreparedStatements, AreNotUsedAnyMoreOnceOneWasLost) {
  Exec(session_, kStatement);
  {
    Transaction transaction(session_);
    transaction.Exec("DEALLOCATE ALL");
    EXPECT_THROW(transaction.ExecPrepared(kStatement, 9), Unavailable);
  }
  EXPECT_EQ(Exec(session_, kStatement), 10);
  EXPECT_EQ(Prepared(session_), 0);
}

TEST_F(PreparedStatements, ThatAreLostBetweenTransactionsAreNotMissed) {
  Exec(session_, kStatement);
  Transaction(session_).Exec("DEALLOCATE ALL");
  EXPECT_EQ(Exec(session_, kStatement), 10);
  EXPECT_EQ(Prepared(session_), 0);
  EXPECT_EQ(session_.connection_number(), 2u);
}

// A plan's result may get another type while the program runs.
TEST_F(PreparedStatements, ArePreparedAgainWhenAViewWasReplaced) {
  constexpr const char* kOfView = "SELECT n FROM numbers WHERE n < $1";
  Query("CREATE VIEW numbers AS SELECT 7 AS n");
  EXPECT_EQ(Exec(session_, kOfView), 7);
  Query("DROP VIEW numbers; CREATE VIEW numbers AS SELECT 8::bigint AS n");
  EXPECT_THROW(Exec(session_, kOfView), Unavailable);
  EXPECT_EQ(Exec(session_, kOfView), 8);
  EXPECT_EQ(session_.connection_number(), 2u);
}

// PgBouncer 1.18 would lend them to other clients, or lose them.
TEST_F(PreparedStatements, AreNotPreparedThroughPgBouncer) {
  const test::PgBouncer pgbouncer(test::SharedPostgres(), 1);
  const std::string url = pgbouncer.Url(client_.dbname());
  Session first({.url = url, .application_name = "first"});
  Session second({.url = url, .application_name = "second"});
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Exec(first, kStatement), 10);
    EXPECT_EQ(Exec(second, kStatement), 10);
  }
  EXPECT_EQ(Prepared(first), 0);
  EXPECT_EQ(first.connection_number(), 1u);
}

}  // namespace
}  // namespace postcall::postgres
