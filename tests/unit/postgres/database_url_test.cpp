#include "dispatcher/postgres/database_url.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dispatcher/postgres/database.h"

namespace postcall::postgres {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

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
    EXPECT_THROW(session.KeepConnected(), Unavailable);
  }
}

// libpq reports these values only when it connects, and then at each connection.
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

TEST(PlaceOfADatabase, IsWithoutUserAndPassword) {
  EXPECT_EQ(PlaceOf("postgresql://u:hunter2@db.internal:6432/voice?sslmode=require"),
            "db.internal:6432/voice");
  EXPECT_EQ(PlaceOf("host=db.internal password=hunter2 user=u port=5433"), "db.internal:5433/u");
  EXPECT_EQ(PlaceOf("postgresql://u@[fd00::1]:5432/voice"), "[fd00::1]:5432/voice");
  EXPECT_EQ(PlaceOf("hostaddr=10.0.0.1 dbname=voice user=u port=5432"), "10.0.0.1:5432/voice");
  EXPECT_EQ(PlaceOf("service=voice"), "service voice");
}

TEST(PlaceOfADatabase, IsThatOfTheEnvironmentWhereTheUrlSaysNothing) {
  ::setenv("PGHOST", "of.environment", 1);
  ::setenv("PGDATABASE", "calls", 1);
  ::setenv("PGPORT", "6543", 1);
  EXPECT_EQ(PlaceOf(""), "of.environment:6543/calls");
  EXPECT_EQ(PlaceOf("host=/run/postgresql"), "/run/postgresql:6543/calls");
  for (const char* variable : {"PGHOST", "PGDATABASE", "PGPORT"}) ::unsetenv(variable);
}

}  // namespace
}  // namespace postcall::postgres
