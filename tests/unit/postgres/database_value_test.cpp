#include "dispatcher/postgres/database_value.h"

#include <gtest/gtest.h>

namespace postcall::postgres {
namespace {

TEST(DatabaseValue, WritesAMomentToTheMicrosecondInUtc) {
  EXPECT_EQ(TimestampOf(FromMicroseconds(0)), "1970-01-01 00:00:00.000000+00");
  EXPECT_EQ(TimestampOf(FromMicroseconds(1'709'251'199'999'999)), "2024-02-29 23:59:59.999999+00");
  EXPECT_EQ(TimestampOf(FromMicroseconds(-1)), "1969-12-31 23:59:59.999999+00");
}

TEST(DatabaseValue, KeepsTheMicrosecondsOfAMoment) {
  EXPECT_EQ(ToMicroseconds(FromMicroseconds(1'709'251'199'999'999)), 1'709'251'199'999'999);
}

}  // namespace
}  // namespace postcall::postgres
