#include "dispatcher/postgres/array_literal.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace postcall::postgres {
namespace {

TEST(ArrayLiteral, QuotesTexts) {
  ArrayLiteral texts;
  texts.Add("a,b {}");
  texts.Add("\"\\");
  texts.Add("NULL");
  texts.Add("");
  EXPECT_EQ(std::move(texts).Close(), R"({"a,b {}","\"\\","NULL",""})");
}

TEST(ArrayLiteral, ReplacesWhatATextColumnDoesNotTake) {
  ArrayLiteral texts;
  texts.Add(std::string("a\0b", 3));
  texts.Add("\xC3\xA4\xFF");
  EXPECT_EQ(std::move(texts).Close(),
            "{\"a\xEF\xBF\xBD"
            "b\",\"\xC3\xA4\xEF\xBF\xBD\"}");
}

TEST(ArrayLiteral, TellsNothingFromEmptyText) {
  ArrayLiteral values;
  values.Add(std::optional<std::string>());
  values.Add(std::optional<std::string>(""));
  values.AddUnlessEmpty("");
  values.AddUnlessEmpty("x");
  EXPECT_EQ(std::move(values).Close(), R"({NULL,"",NULL,"x"})");
}

TEST(ArrayLiteral, WritesNumbersWithAllTheirDigitsAndFlags) {
  ArrayLiteral values;
  values.Add(std::int64_t{9'223'372'036'854'775'807});
  values.Add(-1);
  values.Add(0.1F);
  values.Add(true);
  values.Add(false);
  EXPECT_EQ(std::move(values).Close(), "{9223372036854775807,-1,0.1,t,f}");
}

TEST(ArrayLiteral, MayBeEmpty) { EXPECT_EQ(ArrayLiteral().Close(), "{}"); }

}  // namespace
}  // namespace postcall::postgres
