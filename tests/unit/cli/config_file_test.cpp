#include "dispatcher/cli/config_file.h"

#include <gmock/gmock.h>

namespace postcall::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// The value of the key in a file with one key.
std::string ValueIn(const std::string& toml) {
  const auto entries = ParseConfig(toml);
  if (!entries) return "error: " + entries.error();
  if (entries->size() != 1 || entries->front().values.size() != 1) return "not one value";
  return entries->front().values.front();
}

std::string ErrorIn(const std::string& toml) {
  const auto entries = ParseConfig(toml);
  return entries ? "none" : entries.error();
}

TEST(ConfigFile, ReadsKeysCommentsAndEmptyLines) {
  const auto entries = ParseConfig(
      "# the whole line\n"
      "\n"
      "max-in-flight = 100 # behind a value\r\n"
      "  slow-share=0.5\n"
      "\tmigrate = true\n"
      "instance = 'a'");
  ASSERT_TRUE(entries) << entries.error();
  ASSERT_EQ(entries->size(), 4u);
  EXPECT_EQ((*entries)[0].key, "max-in-flight");
  EXPECT_EQ((*entries)[0].values, std::vector<std::string>{"100"});
  EXPECT_EQ((*entries)[0].line, 3);
  EXPECT_EQ((*entries)[1].values, std::vector<std::string>{"0.5"});
  EXPECT_EQ((*entries)[2].values, std::vector<std::string>{"true"});
  EXPECT_EQ((*entries)[3].values, std::vector<std::string>{"a"});
  EXPECT_EQ((*entries)[3].line, 6);
}

TEST(ConfigFile, QuotedTextKeepsEveryCharacter) {
  EXPECT_EQ(ValueIn("u = \"postgres://u:p#w,x y@h/d\""), "postgres://u:p#w,x y@h/d");
  EXPECT_EQ(ValueIn("u = 'host=h password=a#b=[c] dbname=d'"), "host=h password=a#b=[c] dbname=d");
  EXPECT_EQ(ValueIn(R"(u = 'C:\raw\n')"), R"(C:\raw\n)");
  EXPECT_EQ(ValueIn(R"(u = "a\"b\\c\td")"), "a\"b\\c\td");
  EXPECT_EQ(ValueIn(R"(u = "\u00e9\U0001F600")"), "é😀");
  EXPECT_EQ(ValueIn("u = \"\""), "");
}

TEST(ConfigFile, NumbersLoseTheUnderscoresThatTomlAllows) {
  EXPECT_EQ(ValueIn("n = 10_000"), "10000");
  EXPECT_EQ(ValueIn("n = +5"), "5");
  EXPECT_EQ(ValueIn("n = -3"), "-3");
  EXPECT_EQ(ValueIn("n = 2.5e-1"), "0.25");
  EXPECT_EQ(ValueIn("n = 0.1"), "0.1");
}

TEST(ConfigFile, ArraysMaySpanLinesWithCommentsAndATrailingComma) {
  const auto entries = ParseConfig(
      "egress-allow = [ # inner networks\n"
      "  \"10.0.0.0/8\", # offices\n"
      "  'fd00::/8',\n"
      "]\n"
      "none = []\n");
  ASSERT_TRUE(entries) << entries.error();
  ASSERT_EQ(entries->size(), 2u);
  EXPECT_TRUE((*entries)[0].array);
  EXPECT_EQ((*entries)[0].values, (std::vector<std::string>{"10.0.0.0/8", "fd00::/8"}));
  EXPECT_TRUE((*entries)[1].values.empty());
  EXPECT_EQ((*entries)[1].line, 5);
}

TEST(ConfigFile, MayBeEmptyOrBeginWithAByteOrderMark) {
  EXPECT_TRUE(ParseConfig("")->empty());
  EXPECT_TRUE(ParseConfig("\n# nothing\n")->empty());
  EXPECT_EQ(ValueIn("\xEF\xBB\xBFn = 1"), "1");
}

TEST(ConfigFile, KeysMayBeQuoted) {
  EXPECT_EQ(ParseConfig("\"max-in-flight\" = 1")->front().key, "max-in-flight");
}

TEST(ConfigFile, ReadsEveryOtherTomlFormOfOneValue) {
  EXPECT_EQ(ValueIn("u = \"\"\"a\nb\"\"\""), "a\nb");
  EXPECT_EQ(ValueIn("n = 0x10"), "16");
  EXPECT_EQ(ValueIn("n = 2.0"), "2");
}

TEST(ConfigFile, EntriesComeInTheOrderOfTheFile) {
  const auto entries = ParseConfig("b = 1\nc = 2\na = 3\n");
  ASSERT_TRUE(entries) << entries.error();
  std::string keys;
  for (const ConfigEntry& entry : *entries) keys += entry.key;
  EXPECT_EQ(keys, "bca");
}

TEST(ConfigFile, AnErrorInTomlHasItsLineItsColumnAndWhatToDo) {
  const std::string advice =
      ": this is not TOML in UTF-8; write each key once as KEY = VALUE, with strings in quotes";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a = 1\n\na = 2", "line 3, column 5"},
      {"a 1", "line 1, column 3"},
      {"= 1", "line 1, column 1"},
      {"a =", "line 1, column 4"},
      {"\na = # b", "line 2, column 5"},
      {"a = \"b", "line 1, column 7"},
      {"a = 'b\nc'", "line 1, column 7"},
      {"a = [1, 2", "line 1, column 10"},
      {"a = [1 2]", "line 1, column 8"},
      {"a = 1 2", "line 1, column 7"},
      {"a = 010", "line 1, column 8"},
      {R"(a = "\d")", "line 1, column 7"},
      {R"(a = "\uD800")", "line 1, column 12"},
      {std::string("a = \"b\0c\"", 9), "line 1, column 7"},
      {"max-body-memory = 512MiB", "line 1, column 22"},
      {"a = 1\n# caf\xE9\n", "line 2, column 5"},
      {"a = 1\nb = \"\xED\xA0\x80\"\n", "line 2, column 5"},
      {"b = \"\xC0\x80\"\n", "line 1, column 5"},
      {"b = \"\xE2\x82", "line 1, column 5"},
  };
  for (const auto& [toml, place] : cases) EXPECT_EQ(ErrorIn(toml), place + advice) << toml;
}

TEST(ConfigFile, AValueThatNoSettingTakesIsAnErrorWithItsLine) {
  const std::string tables =
      "tables are not used here; write the keys without a [table] above, and without dots";
  EXPECT_EQ(ErrorIn("x = 1\n[run]\na = 1"), "line 2: " + tables);
  EXPECT_EQ(ErrorIn("[[run]]\na = 1"), "line 1: " + tables);
  EXPECT_EQ(ErrorIn("x = 1\na.b = 1"), "line 2: " + tables);
  EXPECT_EQ(ErrorIn("a = {b = 1}"), "line 1: " + tables);
  const std::string kind =
      "the value of a must be a string in quotes, a number, true or false, or an array of these";
  EXPECT_EQ(ErrorIn("\na = 1979-05-27"), "line 2: " + kind);
  EXPECT_EQ(ErrorIn("a = 07:32:00"), "line 1: " + kind);
  EXPECT_EQ(ErrorIn("a = [[1]]"), "line 1: " + kind);
  EXPECT_EQ(ErrorIn("a = [1979-05-27]"), "line 1: " + kind);
}

// toml++ quotes a part of the file in its messages.
TEST(ConfigFile, ErrorsQuoteNoValueBecauseItMayBeAPassword) {
  for (const std::string before : {"", "+", "1", "true", "f", "inf", "12:", "2020-", "0x", "1.5", "1e5",
                                   "'x' ", "[", "['x' ", "\"\\", "\"\x01", "postgres://u:"}) {
    for (const std::string secret : {"hunter2", "987654321098765432109876543210", "f0x", "1e999"}) {
      const std::string error = ErrorIn("database-url = " + before + secret + "\n");
      EXPECT_THAT(error, Not(HasSubstr(secret)));
    }
  }
}

}  // namespace
}  // namespace postcall::cli
