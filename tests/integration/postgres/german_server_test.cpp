// Error texts of a server whose language is not English.
#include "tests/support/german_server.h"

#include <gmock/gmock.h>

#include "dispatcher/postgres/transaction.h"

namespace postcall::postgres {
namespace {

using test::GermanServer;
using ::testing::HasSubstr;

TEST_F(GermanServer, SaysWhatIsWrongWithoutTheSeverity) {
  Session session({.url = server_->Url(), .application_name = "german"});
  try {
    Transaction(session).Exec("SELECT 1 / 0");
    FAIL() << "divided";
  } catch (const Refused& error) {
    if (error.what() == std::string("division by zero")) GTEST_SKIP() << "this server has no German messages";
    EXPECT_STREQ(error.what(), "Division durch Null");
  }
  try {
    Session nowhere({.url = server_->TcpUrl("nirgends"), .application_name = "german"});
    nowhere.KeepConnected();
    FAIL() << "connected";
  } catch (const Unavailable& error) {
    EXPECT_THAT(error.what(), HasSubstr("failed: Datenbank »nirgends« existiert nicht"));
  }
}

}  // namespace
}  // namespace postcall::postgres
