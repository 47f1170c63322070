#include "dispatcher/postgres/sqlstate.h"

#include <gtest/gtest.h>

namespace postcall::postgres {
namespace {

TEST(Sqlstate, HasANameForEachStateThatDecidesSomething) {
  EXPECT_TRUE(IsInsufficientPrivilege("42501"));
  EXPECT_TRUE(IsLockNotAvailable("55P03"));
  EXPECT_TRUE(IsQueryCanceled("57014"));
  EXPECT_TRUE(IsFeatureNotSupported("0A000"));
  for (const auto is : {IsInsufficientPrivilege, IsLockNotAvailable, IsQueryCanceled, IsFeatureNotSupported,
                        IsTransactionRollback, IsBeyondReplace, IsAboutRows, IsOfAPooler}) {
    EXPECT_FALSE(is(""));
    EXPECT_FALSE(is("42601"));  // a syntax error
  }
}

TEST(Sqlstate, OfADeadlockOrASerializationFailureIsARollback) {
  for (const char* code : {kTransactionRollback, kSerializationFailure, kDeadlockDetected})
    EXPECT_TRUE(IsTransactionRollback(code)) << code;
}

TEST(Sqlstate, OfOtherColumnsOrAnotherResultIsBeyondReplace) {
  EXPECT_TRUE(IsBeyondReplace("42P16"));
  EXPECT_TRUE(IsBeyondReplace("42P13"));
  EXPECT_FALSE(IsBeyondReplace("42P07")) << "a relation of that name is there";
}

TEST(Sqlstate, ThatIsAboutRowsDoesNotPass) {
  for (const char* code :
       {"0A000", "21000", "22021", "23514", "38000", "39000", "44000", "54000", "P0001", "XX001", "XX000"}) {
    EXPECT_TRUE(IsAboutRows(code)) << code;
    EXPECT_FALSE(IsPassing(code)) << code;
  }
  for (const char* code : {"42501", "42P01", "42703", "55P03", "57014", "40001"})
    EXPECT_FALSE(IsAboutRows(code)) << code;
}

TEST(Sqlstate, TellsDamage) {
  EXPECT_TRUE(IsDamage("XX001"));
  EXPECT_FALSE(IsDamage("22000"));
}

TEST(Sqlstate, OfTheConnectionWantsAnotherOne) {
  for (const char* code :
       {"", "08006", "57P01", "57P03", "25001", "25P02", "25006", "25P03", "25P04", "26000", "42P05"}) {
    EXPECT_TRUE(IsOfTheConnection(code)) << code;
    EXPECT_TRUE(IsPassing(code)) << code;
  }
}

TEST(Sqlstate, ThatPassesLeavesTheConnectionAsItIs) {
  for (const char* code : {"40000", "40001", "40P01", "53100", "53200", "55P03", "57014", "58030"}) {
    EXPECT_TRUE(IsPassing(code)) << code;
    EXPECT_FALSE(IsOfTheConnection(code)) << code;
  }
  for (const char* code : {"42501", "42P01", "55000", "25000", "28P01"})
    EXPECT_FALSE(IsPassing(code)) << code;
}

TEST(Sqlstate, OfAPreparedStatementThatIsNotOursTellsAPooler) {
  EXPECT_TRUE(IsOfAPooler("26000"));
  EXPECT_TRUE(IsOfAPooler("42P05"));
}

}  // namespace
}  // namespace postcall::postgres
