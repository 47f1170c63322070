// A statement in a transaction of its own, or at the beginning of one: in one round trip where that is
// possible, and right where it is not.
#include <string>

#include "dispatcher/postgres/transaction.h"
#include "tests/integration/postgres/session_test.h"
#include "tests/support/pgbouncer.h"

namespace postcall::postgres {
namespace {

constexpr Settings kNoSorting{.planner = "set_config('enable_sort', 'off', true)"};

class Alone : public SessionTest {
 protected:
  static std::string One(Session& session, const char* statement) {
    return Transaction::ExecAlone(session, kNoSorting, statement, 4, 5)[0][0].c_str();
  }

  // Both are the moment at which the message with the statement arrived when the transaction began in it.
  static constexpr const char* kIsOneMessage =
      "SELECT statement_timestamp() = transaction_timestamp() AND $1 < $2::bigint";
};

TEST_F(Alone, IsOneMessage) {
  EXPECT_EQ(One(session_, kIsOneMessage), "t");
  EXPECT_EQ(One(session_, kIsOneMessage), "t") << "now the server knows the statement";
  EXPECT_EQ(session_.connection_number(), 1u);
}

TEST_F(Alone, HasTheParametersAndSettingsOfItsTransaction) {
  Query("ALTER DATABASE " + std::string(client_.dbname()) +
        " SET default_transaction_isolation = 'serializable'");
  constexpr const char* kSettingsOfIt =
      "SELECT concat_ws(' ', $1 - 2 * $2::bigint, current_setting('enable_sort'), "
      "current_setting('statement_timeout'), current_setting('transaction_isolation'))";
  for (int round = 0; round < 3; ++round)
    EXPECT_EQ(One(session_, kSettingsOfIt), "-6 off 10s read committed");
  EXPECT_EQ(Transaction(session_).Exec("SELECT current_setting('enable_sort')")[0][0].c_str(),
            std::string("on"));
}

TEST_F(Alone, DrawsNoTransactionNumber) {
  One(session_, kIsOneMessage);
  const std::string before = Value("SELECT age('3'::xid)");
  for (int round = 0; round < 10; ++round) One(session_, kIsOneMessage);
  EXPECT_EQ(Value("SELECT age('3'::xid)"), before);
}

// The statements of one message have their limits one by one.
TEST_F(Alone, MayTakeLongerThanTheDatabaseAllowsOthers) {
  Query("ALTER DATABASE " + std::string(client_.dbname()) + " SET statement_timeout = '50ms'");
  constexpr const char* kSlow = "SELECT $1 + $2::bigint FROM pg_sleep(0.2)";
  for (int round = 0; round < 2; ++round) EXPECT_EQ(One(session_, kSlow), "9");
}

TEST_F(Alone, ConnectsAgainWhenTheConnectionWasLost) {
  One(session_, kIsOneMessage);
  Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'session_test'");
  EXPECT_EQ(One(session_, kIsOneMessage), "t");
  EXPECT_EQ(session_.connection_number(), 2u);
}

TEST_F(Alone, ConnectsAgainWhenAViewWasReplaced) {
  constexpr const char* kOfView = "SELECT n FROM numbers WHERE n < $1 + $2::bigint";
  Query("CREATE VIEW numbers AS SELECT 7 AS n");
  for (int round = 0; round < 2; ++round) EXPECT_EQ(One(session_, kOfView), "7");
  Query("DROP VIEW numbers; CREATE VIEW numbers AS SELECT 8::bigint AS n");
  EXPECT_EQ(One(session_, kOfView), "8");
  EXPECT_EQ(session_.connection_number(), 2u);
}

TEST_F(Alone, KeepsTheConnectionWhenItIsRefused) {
  constexpr const char* kWrong = "SELECT 1 / ($1 - 4) + $2::bigint";
  for (int round = 0; round < 3; ++round) {
    try {
      One(session_, kWrong);
      FAIL();
    } catch (const Refused& error) {
      EXPECT_EQ(error.sqlstate(), "22012");
    }
    EXPECT_EQ(One(session_, "SELECT $1 + $2::bigint"), "9");
  }
  EXPECT_EQ(session_.connection_number(), 1u);
  EXPECT_EQ(Transaction(session_).Exec("SELECT count(*) FROM pg_prepared_statements")[0][0].as<int>(), 4)
      << "each statement is prepared once, also when it is refused: the settings of two transactions, and "
         "these two";
}

// The server takes the locks of a table's readers already when it prepares a statement.
TEST_F(Alone, WaitsForALockOnlyUpToItsLimitAlsoTheFirstTime) {
  pqxx::connection other(url_);
  pqxx::work holder(other);
  holder.exec("LOCK TABLE written");
  const SteadyTime begin = Steady::now();
  for (int round = 0; round < 2; ++round) {
    try {
      Transaction::ExecAlone(session_, {.lock_limit = std::chrono::milliseconds(50)},
                             "SELECT count(*) FROM written");
      FAIL();
    } catch (const Unavailable& error) {
      EXPECT_EQ(error.sqlstate(), "55P03");
    }
  }
  EXPECT_LT(Steady::now() - begin, std::chrono::seconds(5));
  EXPECT_EQ(session_.connection_number(), 1u);
}

TEST_F(Alone, WorksThroughPgBouncer) {
  const test::PgBouncer pgbouncer(test::SharedPostgres(), 1);
  Session first({.url = pgbouncer.Url(client_.dbname()), .application_name = "first"});
  Session second({.url = pgbouncer.Url(client_.dbname()), .application_name = "second"});
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(One(first, "SELECT $1 + $2::bigint"), "9");
    EXPECT_EQ(One(second, "SELECT $1 + $2::bigint"), "9");
  }
}

class Begun : public Alone {
 protected:
  static std::string Text(const pqxx::result& result) { return result[0][0].c_str(); }

  static constexpr const char* kNote = "INSERT INTO written SELECT length($1) * $2 RETURNING n";
};

TEST_F(Begun, WithAStatementIsOneMessage) {
  for (int round = 0; round < 3; ++round) {
    const auto [transaction, result] = Transaction::BeginWith(session_, kNoSorting, kIsOneMessage, 4, 5);
    EXPECT_EQ(Text(result), "t") << round;
    EXPECT_EQ(Text(transaction->Exec("SELECT current_setting('enable_sort')")), "off");
  }
  EXPECT_EQ(session_.connection_number(), 1u);
}

TEST_F(Begun, WithAStatementIsRolledBackUnlessCommitted) {
  for (const char* text : {"'", "\\\\\"{},$1;", ""}) {
    const std::string length = std::to_string(std::string(text).size());
    { const auto dropped = Transaction::BeginWith(session_, {}, kNote, std::string(text), 1); }
    EXPECT_EQ(Value("SELECT count(*) FROM written"), "0");
    const auto [transaction, result] = Transaction::BeginWith(session_, {}, kNote, std::string(text), 1);
    EXPECT_EQ(Text(result), length);
    transaction->Commit();
    EXPECT_EQ(Value("SELECT sum(n) FROM written"), length);
    Query("DELETE FROM written");
  }
}

TEST_F(Begun, WithAStatementConnectsAgainWhenTheConnectionWasLost) {
  Transaction::BeginWith(session_, {}, kNote, "x", 1).first->Commit();
  Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'session_test'");
  Transaction::BeginWith(session_, {}, kNote, "x", 1).first->Commit();
  EXPECT_EQ(Value("SELECT count(*) FROM written"), "2");
  EXPECT_EQ(session_.connection_number(), 2u);
}

TEST_F(Begun, WithAStatementThatIsRefusedIsOver) {
  for (int round = 0; round < 3; ++round) {
    EXPECT_THROW(Transaction::BeginWith(session_, {}, "SELECT 1 / ($1::int - 4)", 4), Refused);
    EXPECT_EQ(One(session_, kIsOneMessage), "t");
  }
  EXPECT_EQ(session_.connection_number(), 1u);
}

TEST_F(Begun, WithAStatementWorksThroughPgBouncer) {
  const test::PgBouncer pgbouncer(test::SharedPostgres(), 1);
  for (int round = 0; round < 3; ++round) {
    Session session({.url = pgbouncer.Url(client_.dbname()), .application_name = "pooled"});
    Transaction::BeginWith(session, {}, kNote, "xyz", 1).first->Commit();
  }
  EXPECT_EQ(Value("SELECT sum(n) FROM written"), "9");
}

}  // namespace
}  // namespace postcall::postgres
