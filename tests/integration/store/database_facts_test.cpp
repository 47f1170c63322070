#include "dispatcher/store/database_facts.h"

#include "tests/integration/store/store_test.h"
#include "tests/support/private_postgres.h"

namespace postcall::store {
namespace {

class DatabaseFactsOf : public StoreTest {};

TEST_F(DatabaseFactsOf, AConnectionAreItsDatabaseServerAndRole) {
  Query("CREATE ROLE facts_reader");
  const std::string database = platform_.dbname();
  postgres::Session session(
      {.url = test::SharedPostgres().TcpUrl(database) + "?options=-c%20role%3Dfacts_reader",
       .application_name = "facts"});
  const DatabaseFacts facts = ReadDatabaseFacts(session);
  EXPECT_EQ(facts.database, "127.0.0.1:" + std::to_string(test::SharedPostgres().port()) + "/" + database);
  EXPECT_EQ(facts.server, NameOfServer(platform_.server_version()));
  EXPECT_EQ(facts.role, "facts_reader") << "the role that SET ROLE chose, not the one that logged in";
  session.LimitBy(Steady::now());
  Query("DROP ROLE facts_reader");
}

TEST_F(DatabaseFactsOf, AConnectionOfSeveralHostsAreOfTheOneThatAnswers) {
  const std::string port = std::to_string(test::SharedPostgres().port());
  postgres::Session session(
      {.url = "host=127.0.0.2,127.0.0.1 port=1," + port + " user=postgres dbname=postgres",
       .application_name = "facts"});
  EXPECT_EQ(session.place(), "127.0.0.2,127.0.0.1:1," + port + "/postgres") << "not connected yet";
  EXPECT_EQ(ReadDatabaseFacts(session).database, "127.0.0.1:" + port + "/postgres");
}

TEST(Server, OlderThanWhatTheTablesNeedIsAFault) {
  EXPECT_EQ(FaultOfServer(120'022),
            "PostgreSQL 12.22 is too old for the dispatcher: use PostgreSQL 15 to 18");
  for (const int number : {130'000, 140'023, 150'018, 180'004, 190'000})
    EXPECT_FALSE(FaultOfServer(number)) << number;
}

TEST(Server, OlderThanWhatIsSupportedIsToldWithWhatItLacks) {
  for (const int number : {130'000, 140'023}) {
    EXPECT_THAT(RemarkOnServer(number).value_or(""),
                ::testing::HasSubstr("not supported, use PostgreSQL 15 to 18"));
  }
  for (const int number : {150'000, 160'014, 180'004, 190'000})
    EXPECT_FALSE(RemarkOnServer(number)) << number;
}

}  // namespace
}  // namespace postcall::store
