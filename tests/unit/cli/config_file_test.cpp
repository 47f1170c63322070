#include "dispatcher/cli/config_file.h"

#include <gtest/gtest.h>

namespace postcall::cli {
namespace {

// The value of `key` in a file of one key.
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
  EXPECT_EQ(ValueIn("n = 2.5e-1"), "2.5e-1");
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

TEST(ConfigFile, ErrorsNameTheLineAndTheMend) {
  EXPECT_EQ(ErrorIn("a = 1\n\na = 2"), "line 3: the key a comes a second time; keep one");
  EXPECT_EQ(ErrorIn("[run]\na = 1"),
            "line 1: tables are not used here; write the keys without a [table] above");
  EXPECT_EQ(ErrorIn("a 1"), "line 1: this is no KEY = VALUE");
  EXPECT_EQ(ErrorIn("a.b = 1"), "line 1: this is no KEY = VALUE");
  EXPECT_EQ(ErrorIn("= 1"), "line 1: this is no KEY = VALUE");
  EXPECT_EQ(ErrorIn("a ="), "line 1: the key a has no value");
  EXPECT_EQ(ErrorIn("\na = # b"), "line 2: the key a has no value");
  EXPECT_EQ(ErrorIn("a = \"b"), "line 1: a text is not closed with \"");
  EXPECT_EQ(ErrorIn("a = 'b\nc'"), "line 1: a text is not closed with '");
  EXPECT_EQ(ErrorIn("a = [1, 2"), "line 1: the array of a is not closed with ]");
  EXPECT_EQ(ErrorIn("a = ["), "line 1: the array of a is not closed with ]");
  EXPECT_EQ(ErrorIn("a = [1 2]"), "line 1: a comma or ] is missing in the array of a");
  EXPECT_EQ(ErrorIn("a = [[1]]"), "line 1: the value of a must be in quotes");
  EXPECT_EQ(ErrorIn("a = \"\"\"b\"\"\""),
            "line 1: texts of several lines are not used here; write it in one pair of quotes");
  EXPECT_EQ(ErrorIn("a = 1 2"),
            "line 1: something stands behind the value; put a text with blanks or commas in quotes");
  EXPECT_EQ(ErrorIn(R"(a = "\d")"),
            R"(line 1: a text holds an escape that TOML does not know; write \\ for a backslash)");
  for (const char* escape : {R"(a = "\uD800")", R"(a = "\U00110000")", R"(a = "\u12")", R"(a = "\u12g4")"}) {
    EXPECT_NE(ErrorIn(escape), "none") << escape;
  }
  EXPECT_EQ(ErrorIn(std::string("a = \"b\0c\"", 9)), "line 1: a text holds a control character; remove it");
}

TEST(ConfigFile, ErrorsQuoteNoValueForItMayBeAPassword) {
  EXPECT_EQ(ErrorIn("database-url = postgres://u:hunter2@h/d"),
            "line 1: the value of database-url must be in quotes");
  EXPECT_EQ(ErrorIn("max-body-memory = 512MiB"), "line 1: the value of max-body-memory must be in quotes");
}

}  // namespace
}  // namespace postcall::cli
