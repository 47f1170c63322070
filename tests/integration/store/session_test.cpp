// The connection: limits of time, losses, and what is said of them.
#include <cstdlib>

#include "dispatcher/store/liveness.h"
#include "dispatcher/store/transaction.h"
#include "tests/integration/store/store_test.h"
#include "tests/support/closed_ports.h"
#include "tests/support/private_postgres.h"
#include "tests/support/tcp_proxy.h"

namespace postcall::store {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class Connecting : public StoreTest {
 protected:
  std::string One(Session& session, const char* statement) {
    Transaction transaction(session);
    std::string value = transaction.Exec(statement)[0][0].c_str();
    transaction.Commit();
    return value;
  }
};

TEST_F(Connecting, IsDoneWhenFirstNeeded) {
  EXPECT_FALSE(session_.connected());
  EXPECT_EQ(session_.connection_number(), 0u);
  EXPECT_EQ(One(session_, "SELECT current_setting('application_name')"), "store_test");
  EXPECT_TRUE(session_.connected());
  One(session_, "SELECT 1");
  EXPECT_EQ(session_.connection_number(), 1u);
}

TEST_F(Connecting, SpeaksUtf8WhateverTheUrlSays) {
  Session session({.url = url_ + "&client_encoding=LATIN1", .application_name = "latin"});
  EXPECT_EQ(One(session, "SELECT current_setting('client_encoding') || chr(8364)"), "UTF8€");
}

TEST_F(Connecting, LeavesNoSettingBehind) {
  One(session_, "SELECT 1");
  // What the next client of a pooled server connection would find.
  Transaction transaction(session_, "SELECT 1");
  EXPECT_EQ(transaction.Exec("SELECT current_setting('statement_timeout')")[0][0].c_str(),
            std::string("10s"));
  EXPECT_EQ(transaction.Exec("SELECT current_setting('enable_seqscan')")[0][0].c_str(), std::string("on"));
  EXPECT_EQ(
      transaction.Exec("SELECT reset_val FROM pg_settings WHERE name = 'statement_timeout'")[0][0].c_str(),
      std::string("0"));
}

TEST_F(Connecting, IsolatesAsLittleAsItNeedsWhateverTheDatabasesDefault) {
  Query("ALTER DATABASE " + std::string(platform_.dbname()) +
        " SET default_transaction_isolation = 'serializable'");
  EXPECT_EQ(One(session_, "SELECT current_setting('transaction_isolation')"), "read committed");
}

TEST_F(Connecting, HappensAnewWhenTheConnectionWasLostWhileIdle) {
  One(session_, "SELECT 1");
  Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'store_test'");
  EXPECT_EQ(One(session_, "SELECT 1"), "1");
  EXPECT_EQ(session_.connection_number(), 2u);
}

// libpqxx 6 would begin anew on a connection of its own making, in the middle of our transaction.
TEST_F(Connecting, NeverHappensWithinATransaction) {
  Transaction transaction(session_);
  transaction.Exec("CREATE TABLE half_done ()");
  Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'store_test'");
  EXPECT_THROW(transaction.Exec("SELECT 1"), Unavailable);
  EXPECT_FALSE(session_.connected());
  EXPECT_EQ(Value("SELECT to_regclass('half_done')"), "NULL");
}

TEST_F(Connecting, GivesUpWithAServerThatIsStopped) {
  test::TcpProxy proxy(test::SharedPostgres().port());
  Session session(
      {.url = "postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + platform_.dbname(),
       .application_name = "stalled"});
  const SteadyTime start = Steady::now();
  {
    Transaction transaction(session, "", std::chrono::seconds(0));
    transaction.Exec("SELECT 1");
    proxy.Stall(true);
    EXPECT_THROW(transaction.Exec("SELECT 1"), Unavailable);
  }
  EXPECT_FALSE(session.connected());
  EXPECT_LT(Steady::now() - start, std::chrono::seconds(9));
  proxy.Stall(false);
  EXPECT_EQ(One(session, "SELECT 1"), "1");
}

// A stop leaves so much time and no more.
TEST_F(Connecting, TakesNoLongerThanIsLeftOfAStop) {
  test::TcpProxy proxy(test::SharedPostgres().port());
  const std::string url =
      "postgresql://postgres@127.0.0.1:" + std::to_string(proxy.port()) + "/" + platform_.dbname();
  Session in_time({.url = url, .application_name = "in time"});
  in_time.LimitBy(Steady::now() + std::chrono::milliseconds(3500));
  EXPECT_EQ(One(in_time, "SELECT 1"), "1");

  proxy.Stall(true);
  const SteadyTime start = Steady::now();
  Session silent({.url = url, .application_name = "silent"});
  silent.LimitBy(start + std::chrono::milliseconds(3500));
  EXPECT_THROW(One(silent, "SELECT 1"), Unavailable);
  EXPECT_LT(Steady::now() - start, std::chrono::milliseconds(3750));

  proxy.Stall(false);
  const int connections = proxy.connections();
  Session too_late({.url = url, .application_name = "too late"});
  too_late.LimitBy(Steady::now() + std::chrono::milliseconds(1900));
  EXPECT_THROW(One(too_late, "SELECT 1"), Unavailable);
  EXPECT_EQ(proxy.connections(), connections);
}

// libpq's limit is for each address, and it takes one of a minute, or none, as readily as one of 5 s.
TEST_F(Connecting, TakesFiveSecondsAtMostWhateverTheUrlSays) {
  test::TcpProxy proxy(test::SharedPostgres().port());
  proxy.Stall(true);
  const std::string port = std::to_string(proxy.port());
  const auto seconds_of = [](const std::string& url) {
    Session session({.url = url, .application_name = "silent"});
    const SteadyTime start = Steady::now();
    EXPECT_THROW(Beat(session, Starter().id(), "label"), Unavailable);
    return Seconds(Steady::now() - start);
  };
  const std::string one = "host=127.0.0.1 user=postgres port=" + port;
  EXPECT_LT(seconds_of(one + " connect_timeout=60"), 6);
  EXPECT_LT(seconds_of(one + " connect_timeout=0"), 6);
  EXPECT_LT(seconds_of(one + " connect_timeout=3"), 4) << "less is less";
  ::setenv("PGCONNECT_TIMEOUT", "60", 1);
  EXPECT_LT(seconds_of(one), 6);
  ::unsetenv("PGCONNECT_TIMEOUT");
  EXPECT_LT(seconds_of("host=127.0.0.1,127.0.0.1 user=postgres port=" + port), 6);
  EXPECT_LT(seconds_of("host=127.0.0.1,127.0.0.1,127.0.0.1 user=postgres port=" + port), 7)
      << "2 s a host, libpq's least";
}

TEST_F(Connecting, KeepsTheConnectionWhenOnlyALimitOfTimePassed) {
  pqxx::connection other(url_);
  pqxx::work holder(other);
  holder.exec("LOCK TABLE webhook_dispatchers");
  One(session_, "SELECT 1");
  try {
    Beat(session_, Starter().id(), "label");
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_EQ(error.sqlstate(), "55P03");
    EXPECT_STREQ(error.what(), "canceling statement due to lock timeout");
  }
  EXPECT_TRUE(session_.connected());
  holder.abort();
  EXPECT_TRUE(Beat(session_, Starter().id(), "label"));
  EXPECT_EQ(session_.connection_number(), 1u);
}

TEST_F(Connecting, LooksForAnotherServerWhenThisOneBecameReadOnly) {
  Query("ALTER DATABASE " + std::string(platform_.dbname()) + " SET default_transaction_read_only = on");
  EXPECT_THROW(Beat(session_, Starter().id(), "label"), Unavailable);
  EXPECT_FALSE(session_.connected());
}

TEST_F(Connecting, TellsARefusalFromALoss) {
  Query("CREATE ROLE nobody_much LOGIN");
  Session session(
      {.url = test::SharedPostgres().Url(platform_.dbname(), "nobody_much"), .application_name = "x"});
  try {
    Beat(session, Starter().id(), "label");
    FAIL();
  } catch (const Refused& error) {
    EXPECT_EQ(error.sqlstate(), "42501");
    EXPECT_STREQ(error.what(), "permission denied for table webhook_dispatchers");
  }
  EXPECT_TRUE(session.connected());
  Query("DROP ROLE nobody_much");
}

TEST_F(Connecting, SaysWhyNotAndNeverThePassword) {
  Session session({.url = "postgresql://postgres:sesame@127.0.0.1:1/x", .application_name = "x"});
  try {
    Beat(session, Starter().id(), "label");
    FAIL();
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), HasSubstr("127.0.0.1"));
    EXPECT_THAT(error.what(), Not(HasSubstr("sesame")));
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
  }
}

TEST(DatabaseUrl, MayBeEmptyOrAUriOrWords) {
  for (const char* url :
       {"", "postgresql:///db", "postgres://user:p%40ss%3Aword%2F@host:5432,other:5433/db?sslmode=require",
        "host=/tmp dbname=x password='it\\'s @ secret'", "postgresql://[::1]:5432/db"}) {
    EXPECT_EQ(FaultOfDatabaseUrl(url), std::nullopt) << url;
  }
}

// What a person types who forgot to encode: libpq would take parts of the password for something else and
// print them.
TEST(DatabaseUrl, IsRefusedWithoutQuotingAnythingWhenThePasswordSplitsIt) {
  for (const char* url : {"postgresql://user:se@same@host/db", "postgresql://user:se/same@host/db",
                          "postgresql://user:12/same@host/db", "postgresql://user:se?same@host/db",
                          "postgresql://user:se%same@host/db", "postgresql://user:se#same@host:same/db",
                          "host=x same", "sesame"}) {
    const std::optional<std::string> fault = FaultOfDatabaseUrl(url);
    ASSERT_TRUE(fault) << url;
    EXPECT_THAT(*fault, Not(HasSubstr("same"))) << url;
    Session session({.url = url, .application_name = "x"});
    EXPECT_THROW(Beat(session, Starter().id(), "label"), Unavailable);
  }
}

// What libpq would say only when it connects, and then each time anew.
TEST(DatabaseUrl, IsRefusedWhenAValueIsNoneOfLibpqs) {
  for (const auto& [url, named] : std::vector<std::pair<const char*, const char*>>{
           {"postgresql://h/d?sslmode=bogus", "sslmode"},
           {"postgresql://h/d?sslmode=REQUIRE", "sslmode"},
           {"host=h sslmode=''", "sslmode"},
           {"postgresql://h/d?channel_binding=bogus", "channel_binding"},
           {"postgresql://h/d?gssencmode=bogus", "gssencmode"},
           {"postgresql://h/d?target_session_attrs=bogus", "target_session_attrs"},
           {"postgresql://h/d?connect_timeout=abc", "connect_timeout"},
           {"postgresql://h/d?keepalives=bogus", "keepalives"},
           {"postgresql://h/d?tcp_user_timeout=99999999999", "tcp_user_timeout"},
           {"postgresql://h:65536/d", "port"},
           {"postgresql://h:0/d", "port"},
           {"host=a,b port=1,2,3", "port"},
       }) {
    const std::optional<std::string> fault = FaultOfDatabaseUrl(url);
    ASSERT_TRUE(fault) << url;
    EXPECT_THAT(*fault, HasSubstr(named));
    EXPECT_THAT(*fault, Not(HasSubstr("bogus")));
  }
  for (const char* url :
       {"postgresql://a:5432,b/d?target_session_attrs=read-write&sslmode=verify-full&connect_timeout=3",
        "host=a,b port=5433 keepalives=0 channel_binding=require gssencmode=disable",
        "host=a,b port=,5433 connect_timeout=-1"}) {
    EXPECT_EQ(FaultOfDatabaseUrl(url), std::nullopt) << url;
  }
}

// Through a pooler there are none: see pgbouncer_test.cpp.
class PreparedStatements : public StoreTest {
 protected:
  int Prepared() {
    Transaction transaction(session_);
    return transaction.Exec("SELECT count(*) FROM pg_prepared_statements")[0][0].as<int>();
  }
};

TEST_F(PreparedStatements, AreMadeOnceADirectConnection) {
  AddAgent("a");
  AddCalls("a", 4, "a");
  Starter dispatcher;
  dispatcher.ClaimAll(session_, 2);
  const int prepared = Prepared();
  EXPECT_GE(prepared, 4);
  dispatcher.ClaimAll(session_, 2);
  EXPECT_EQ(Prepared(), prepared) << "prepared once";
}

// Of a platform's own view, while the dispatcher runs.
// So it would be with a pooler that passes the server's process id on.
TEST_F(PreparedStatements, AreGivenUpWhenTheyGetLost) {
  AddAgent("a");
  AddCalls("a", 4, "a");
  Starter dispatcher;
  dispatcher.ClaimAll(session_, 2);
  Transaction(session_).Exec("DEALLOCATE ALL");
  EXPECT_THROW(dispatcher.ClaimAll(session_, 1), Unavailable);
  EXPECT_THAT(dispatcher.ClaimAll(session_, 2).sent, SizeIs(2));
  EXPECT_EQ(Prepared(), 0);
}

TEST_F(PreparedStatements, AreMadeAnewWhenAViewWasReplaced) {
  AddAgent("a");
  AddCalls("a", 4, "a");
  Starter dispatcher;
  dispatcher.ClaimAll(session_, 2);
  Query("ALTER VIEW webhook_agents RENAME TO first_agents");
  Query("CREATE VIEW webhook_agents AS SELECT id::varchar(100), name, settings FROM agents");
  EXPECT_THROW(dispatcher.ClaimAll(session_, 1), Unavailable) << "the plan's result has another type now";
  EXPECT_THAT(dispatcher.ClaimAll(session_, 2).sent, SizeIs(2)) << "on a new connection";
}

}  // namespace
}  // namespace postcall::store
