// The connection: its limits of time, how it gets lost, and the errors that say so.
#include <atomic>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "dispatcher/postgres/transaction.h"
#include "tests/integration/postgres/session_test.h"
#include "tests/support/closed_ports.h"
#include "tests/support/private_postgres.h"
#include "tests/support/tcp_proxy.h"

namespace postcall::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Connecting : public SessionTest {
 protected:
  std::string One(Session& session, const char* statement) {
    Transaction transaction(session);
    std::string value = transaction.Exec(statement)[0][0].c_str();
    transaction.Commit();
    return value;
  }
  // Needs a table, a right and a server that accepts writes.
  void Write(Session& session) {
    Transaction transaction(session);
    transaction.Exec("INSERT INTO written VALUES (1)");
    transaction.Commit();
  }
};

TEST_F(Connecting, HappensAtTheFirstUse) {
  EXPECT_FALSE(session_.connected());
  EXPECT_EQ(session_.connection_number(), 0u);
  EXPECT_EQ(One(session_, "SELECT current_setting('application_name')"), "session_test");
  EXPECT_TRUE(session_.connected());
  One(session_, "SELECT 1");
  EXPECT_EQ(session_.connection_number(), 1u);
}

TEST_F(Connecting, UsesUtf8WhateverTheUrlSays) {
  Session session({.url = url_ + "&client_encoding=LATIN1", .application_name = "latin"});
  EXPECT_EQ(One(session, "SELECT current_setting('client_encoding') || chr(8364)"), "UTF8€");
}

TEST_F(Connecting, LeavesNoSettingBehind) {
  One(session_, "SELECT 1");
  // The settings that the next client of a pooled server connection would have.
  Transaction transaction(session_);
  EXPECT_EQ(transaction.Exec("SELECT current_setting('statement_timeout')")[0][0].c_str(),
            std::string("10s"));
  EXPECT_EQ(transaction.Exec("SELECT current_setting('enable_seqscan')")[0][0].c_str(), std::string("on"));
  EXPECT_EQ(
      transaction.Exec("SELECT reset_val FROM pg_settings WHERE name = 'statement_timeout'")[0][0].c_str(),
      std::string("0"));
}

// A claim of one call costs little more than its round trips.
TEST_F(Connecting, BeginsInOneMessage) {
  constexpr const char* kNoteWhether = R"(
      set_config('postcall.begun', (statement_timestamp() = transaction_timestamp())::text, true))";
  for (int round = 0; round < 2; ++round) {
    Transaction transaction(session_, {.planner = kNoteWhether});
    EXPECT_EQ(transaction.Exec("SELECT current_setting('postcall.begun')")[0][0].c_str(),
              std::string("true"));
  }
}

TEST_F(Connecting, IsolatesAsLittleAsNecessaryWhateverTheDatabasesDefault) {
  Query("ALTER DATABASE " + std::string(client_.dbname()) +
        " SET default_transaction_isolation = 'serializable'");
  EXPECT_EQ(One(session_, "SELECT current_setting('transaction_isolation')"), "read committed");
}

TEST_F(Connecting, HappensAgainWhenTheConnectionWasLostWhileIdle) {
  One(session_, "SELECT 1");
  Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'session_test'");
  EXPECT_EQ(One(session_, "SELECT 1"), "1");
  EXPECT_EQ(session_.connection_number(), 2u);
}

// libpqxx 6 would open another connection by itself, in the middle of our transaction.
TEST_F(Connecting, NeverHappensWithinATransaction) {
  Transaction transaction(session_);
  transaction.Exec("CREATE TABLE half_done ()");
  Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'session_test'");
  EXPECT_THROW(transaction.Exec("SELECT 1"), Unavailable);
  EXPECT_FALSE(session_.connected());
  EXPECT_EQ(Value("SELECT to_regclass('half_done')"), "NULL");
}

TEST_F(Connecting, EndsWithAnErrorWhenTheServerIsStopped) {
  test::TcpProxy proxy(test::SharedPostgres().port());
  Session session(
      {.url = "postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + client_.dbname(),
       .application_name = "stalled"});
  const SteadyTime start = Steady::now();
  {
    Transaction transaction(session, {.statement_limit = std::chrono::seconds(0)});
    transaction.Exec("SELECT 1");
    proxy.Stall(true);
    EXPECT_THROW(transaction.Exec("SELECT 1"), Unavailable);
  }
  EXPECT_FALSE(session.connected());
  EXPECT_LT(Steady::now() - start, std::chrono::seconds(9));
  proxy.Stall(false);
  EXPECT_EQ(One(session, "SELECT 1"), "1");
}

// A stop has a limit of time, and connecting must not exceed it.
TEST_F(Connecting, TakesNoLongerThanAStopStillHas) {
  test::TcpProxy proxy(test::SharedPostgres().port());
  const std::string url =
      "postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + client_.dbname();
  Session in_time({.url = url, .application_name = "in time"});
  in_time.LimitBy(Steady::now() + std::chrono::milliseconds(3500));
  EXPECT_EQ(One(in_time, "SELECT 1"), "1");

  Session open({.url = url, .application_name = "open"});
  EXPECT_EQ(One(open, "SELECT 1"), "1");
  open.LimitBy(Steady::now());
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // longer ago than the watchdog's last look
  EXPECT_THROW(One(open, "SELECT 1"), Unavailable) << "on an open connection, too";

  proxy.Stall(true);
  const SteadyTime start = Steady::now();
  Session silent({.url = url, .application_name = "silent"});
  silent.LimitBy(start + std::chrono::milliseconds(3500));
  EXPECT_THROW(One(silent, "SELECT 1"), Unavailable);
  EXPECT_LT(Steady::now() - start, std::chrono::milliseconds(3750));

  // This session uses another proxy: the first accepts the silent session only once it is no longer stalled.
  const test::TcpProxy untouched(test::SharedPostgres().port());
  Session too_late(
      {.url = "postgresql://postgres@127.0.0.1:" + std::to_string(untouched.port()) + "/" + client_.dbname(),
       .application_name = "too late"});
  too_late.LimitBy(Steady::now() + std::chrono::milliseconds(1900));
  EXPECT_THROW(One(too_late, "SELECT 1"), Unavailable);
  EXPECT_EQ(untouched.connections(), 0);
}

// libpq applies its limit to each address, and also accepts a limit of a minute, or no limit.
TEST_F(Connecting, TakesFiveSecondsAtMostWhateverTheUrlSays) {
  test::TcpProxy proxy(test::SharedPostgres().port());
  proxy.Stall(true);
  const std::string port = std::to_string(proxy.port());
  const auto seconds_of = [](const std::string& url) {
    Session session({.url = url, .application_name = "silent"});
    const SteadyTime start = Steady::now();
    EXPECT_THROW(session.KeepConnected(), Unavailable);
    return Seconds(Steady::now() - start);
  };
  const std::string one = "host=127.0.0.1 user=postgres port=" + port;
  EXPECT_LT(seconds_of(one + " connect_timeout=60"), 6);
  EXPECT_LT(seconds_of(one + " connect_timeout=0"), 6);
  EXPECT_LT(seconds_of(one + " connect_timeout=3"), 4) << "a shorter limit is kept";
  ::setenv("PGCONNECT_TIMEOUT", "60", 1);
  EXPECT_LT(seconds_of(one), 6);
  ::unsetenv("PGCONNECT_TIMEOUT");
  EXPECT_LT(seconds_of("host=127.0.0.1,127.0.0.1 user=postgres port=" + port), 6);
  EXPECT_LT(seconds_of("host=127.0.0.1,127.0.0.1,127.0.0.1 user=postgres port=" + port), 7)
      << "2 s per host is libpq's shortest limit";
}

TEST_F(Connecting, KeepsTheConnectionWhenOnlyALimitOfTimePassed) {
  pqxx::connection other(url_);
  pqxx::work holder(other);
  holder.exec("LOCK TABLE written");
  One(session_, "SELECT 1");
  try {
    Write(session_);
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_EQ(error.sqlstate(), "55P03");
    EXPECT_STREQ(error.what(), "canceling statement due to lock timeout");
  }
  EXPECT_TRUE(session_.connected());
  holder.abort();
  EXPECT_NO_THROW(Write(session_));
  EXPECT_EQ(session_.connection_number(), 1u);
}

// Only a limit for each statement is right: a chore may execute many.
TEST_F(Connecting, HasNoLimitForAWholeTransactionWhateverTheDatabasesDefault) {
  if (Value("SELECT current_setting('transaction_timeout', true)") == "NULL")
    GTEST_SKIP() << "PostgreSQL has this setting since version 17";
  Query("ALTER DATABASE " + std::string(client_.dbname()) + " SET transaction_timeout = '500ms'");
  EXPECT_EQ(One(session_, "SELECT pg_sleep(1)::text || current_setting('transaction_timeout')"), "0");
}

TEST_F(Connecting, IsRepeatedWhenTheServerBecameReadOnly) {
  Query("ALTER DATABASE " + std::string(client_.dbname()) + " SET default_transaction_read_only = on");
  EXPECT_THROW(Write(session_), Unavailable);
  EXPECT_FALSE(session_.connected());
}

TEST_F(Connecting, DistinguishesARefusalFromALostConnection) {
  Query("CREATE ROLE may_not_write LOGIN");
  Session session(
      {.url = test::SharedPostgres().Url(client_.dbname(), "may_not_write"), .application_name = "x"});
  try {
    Write(session);
    FAIL();
  } catch (const Refused& error) {
    EXPECT_EQ(error.sqlstate(), "42501");
    EXPECT_STREQ(error.what(), "permission denied for table written");
  }
  EXPECT_TRUE(session.connected());
  Query("DROP ROLE may_not_write");
}

// libpqxx 6 leaves the codes out; in libpqxx 7 these errors belong to those of statements.
TEST_F(Connecting, KeepsTheConnectionAfterADeadlock) {
  for (const std::string code : {"40P01", "40001", "40000"}) {
    Transaction transaction(session_);
    try {
      transaction.Exec(
          ("DO $$ BEGIN RAISE EXCEPTION 'stuck' USING ERRCODE = '" + code + "'; END $$").c_str());
      FAIL();
    } catch (const Unavailable& error) {
      EXPECT_EQ(error.sqlstate(), code);
      EXPECT_STREQ(error.what(), "stuck");
    }
  }
  EXPECT_TRUE(session_.connected());
  EXPECT_EQ(session_.connection_number(), 1u);
}

// A deferred constraint or SERIALIZABLE makes a COMMIT fail like this.
TEST_F(Connecting, IsNotInDoubtWhenTheServerSaysThatItDidNotCommit) {
  Query(R"(
      CREATE TABLE checked (code text);
      CREATE FUNCTION check_late() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'too late' USING ERRCODE = new.code; END $$;
      CREATE CONSTRAINT TRIGGER late AFTER INSERT ON checked DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION check_late())");
  const auto commit = [&](const char* code) {
    Transaction transaction(session_);
    transaction.Exec("INSERT INTO checked VALUES ($1)", code);
    transaction.Commit();
  };
  try {
    commit("40001");
    FAIL();
  } catch (const CommitInDoubt&) {
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_EQ(error.sqlstate(), "40001");
    EXPECT_STREQ(error.what(), "too late");
  }
  EXPECT_THROW(commit("23514"), Refused);
  try {
    commit("42501");
    FAIL();
  } catch (const Refused& error) {  // libpqxx 6 leaves the code out
    EXPECT_EQ(error.sqlstate(), "42501");
  }
  EXPECT_TRUE(session_.connected());
}

TEST_F(Connecting, IsInDoubtWhenTheServerSaysThatItDoesNotKnow) {
  Query(R"(
      CREATE TABLE unsure (n int);
      CREATE FUNCTION check_late() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'who knows' USING ERRCODE = '40003'; END $$;
      CREATE CONSTRAINT TRIGGER late AFTER INSERT ON unsure DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION check_late())");
  Transaction transaction(session_);
  transaction.Exec("INSERT INTO unsure VALUES (1)");
  EXPECT_THROW(transaction.Commit(), CommitInDoubt);
}

class Attempt : public SessionTest {};

TEST_F(Attempt, ThatIsRefusedIsUndoneAndNothingElse) {
  Query("CREATE ROLE without_rights; GRANT INSERT ON written TO without_rights");
  Transaction transaction(session_);
  transaction.ExecScript("SET LOCAL ROLE without_rights; INSERT INTO written VALUES (1)");
  for (const auto& [statements, sqlstate] : std::vector<std::pair<const char*, const char*>>{
           {"INSERT INTO written VALUES (2); SELECT 1 / 0", "22012"},
           {"INSERT INTO written VALUES (3); SELECT n FROM written", "42501"},
       }) {
    const std::optional<Refused> refused = transaction.Attempt(statements);
    ASSERT_TRUE(refused) << statements;
    EXPECT_EQ(refused->sqlstate(), sqlstate);
  }
  EXPECT_FALSE(transaction.Attempt("INSERT INTO written VALUES (4); INSERT INTO written VALUES (5)"));
  transaction.Commit();
  EXPECT_EQ(Value("SELECT string_agg(n::text, ' ' ORDER BY n) FROM written"), "1 4 5");
  Query("REVOKE ALL ON written FROM without_rights; DROP ROLE without_rights");
}

TEST_F(Attempt, ThatMaySucceedLaterEndsTheTransaction) {
  pqxx::connection other(url_);
  pqxx::work holder(other);
  holder.exec("LOCK TABLE written");
  Transaction transaction(session_, {.lock_limit = std::chrono::milliseconds(10)});
  try {
    transaction.Attempt("INSERT INTO written VALUES (1)");
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_EQ(error.sqlstate(), "55P03");
  }
  EXPECT_TRUE(session_.connected());
}

// The server then still has the transaction open.
TEST_F(Connecting, DropsTheConnectionWhoseRollbackWasCancelled) {
  Query("CREATE TABLE abandoned (n int)");
  std::atomic<bool> stop = false;
  std::thread canceller([&] {
    pqxx::connection other(url_);
    pqxx::nontransaction statements(other);
    while (!stop) {
      statements.exec(
          "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'session_test'");
    }
  });
  std::string refusal;
  const SteadyTime end = Steady::now() + std::chrono::seconds(4);
  while (Steady::now() < end && refusal.empty()) {
    try {
      Transaction(session_).Exec("INSERT INTO abandoned VALUES (1)");
    } catch (const Unavailable&) {
    } catch (const Refused& error) {
      refusal = error.what();
    }
    try {
      Transaction(session_).Commit();
    } catch (const Unavailable&) {
    } catch (const Refused& error) {
      refusal = error.what();
    }
  }
  stop = true;
  canceller.join();
  EXPECT_EQ(refusal, "");
  EXPECT_EQ(Value("SELECT count(*) FROM abandoned"), "0");
}

TEST_F(Connecting, ThatFailsSaysWhyWithoutThePassword) {
  Session session({.url = "postgresql://postgres:sesame@127.0.0.1:1/x", .application_name = "x"});
  try {
    session.KeepConnected();
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), HasSubstr("127.0.0.1"));
    EXPECT_THAT(error.what(), Not(HasSubstr("sesame")));
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
  }
}

}  // namespace
}  // namespace postcall::postgres
