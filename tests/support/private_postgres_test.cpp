#include "tests/support/private_postgres.h"

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <signal.h>

#include <filesystem>

#include "common/handle.h"

namespace postcall::test {
namespace {

ConnStatusType Connect(const std::string& url) {
  const Handle<PGconn, PQfinish> connection(::PQconnectdb(url.c_str()));
  return ::PQstatus(connection.get());
}

TEST(PrivatePostgres, ServesBothWaysAndLeavesNothingBehind) {
  std::string folder;
  std::string url;
  pid_t pid = 0;
  {
    PrivatePostgres postgres;
    folder = postgres.folder();
    url = postgres.TcpUrl();
    pid = postgres.pid();
    EXPECT_EQ(Connect(postgres.Url()), CONNECTION_OK);
    EXPECT_EQ(Connect(postgres.TcpUrl()), CONNECTION_OK);
    EXPECT_EQ(postgres.Execute("SHOW max_connections"), "200");
    EXPECT_EQ(postgres.Execute("SHOW fsync"), "off");
  }
  EXPECT_FALSE(std::filesystem::exists(folder));
  EXPECT_NE(::kill(pid, 0), 0);
  EXPECT_EQ(Connect(url), CONNECTION_BAD);
}

TEST(PrivatePostgres, ComesBackWithItsDataAfterACrash) {
  PrivatePostgres postgres({.fsync = true, .settings = {"synchronous_commit=on"}});
  EXPECT_EQ(postgres.Execute("SHOW fsync"), "on");
  postgres.Execute("CREATE TABLE kept (n int)");
  postgres.Execute("INSERT INTO kept VALUES (1)");
  const std::uint16_t port = postgres.port();
  postgres.Stop(PrivatePostgres::StopMode::kImmediate);
  EXPECT_EQ(Connect(postgres.TcpUrl()), CONNECTION_BAD);
  postgres.Stop(PrivatePostgres::StopMode::kFast);  // it is not running
  postgres.Start();
  EXPECT_EQ(postgres.port(), port);
  EXPECT_EQ(postgres.Execute("SELECT n FROM kept"), "1");
  postgres.Restart(PrivatePostgres::StopMode::kFast);
  EXPECT_EQ(postgres.Execute("SELECT n FROM kept"), "1");
}

TEST(PrivatePostgres, SharesOneServerWithADatabaseForEachTest) {
  PrivatePostgres& postgres = SharedPostgres();
  EXPECT_EQ(&postgres, &SharedPostgres());
  const std::string one = postgres.CreateDatabase();
  const std::string other = postgres.CreateMigratedDatabase();
  const std::string third = postgres.CreateMigratedDatabase();
  EXPECT_NE(one, other);
  EXPECT_NE(other, third);
  const Handle<PGconn, PQfinish> connection(::PQconnectdb(third.c_str()));
  const Handle<PGresult, PQclear> result(::PQexec(connection.get(), "SELECT FROM webhook_outbox, calls"));
  EXPECT_EQ(::PQresultStatus(result.get()), PGRES_TUPLES_OK);
}

TEST(PrivatePostgres, SaysWhyItDidNotStart) {
  try {
    const PrivatePostgres postgres({.settings = {"no_such_setting=1"}});
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("no_such_setting"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace postcall::test
