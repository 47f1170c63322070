#include "common/utf8.h"

#include <gtest/gtest.h>

namespace postcall {
namespace {

using namespace std::string_literals;

TEST(Utf8, AcceptsTheFirstAndLastCharacterOfEachLength) {
  for (const std::string& text :
       {"\0"s, "\x7F"s, "\xC2\x80"s, "\xDF\xBF"s, "\xE0\xA0\x80"s, "\xED\x9F\xBF"s, "\xEE\x80\x80"s,
        "\xEF\xBF\xBF"s, "\xF0\x90\x80\x80"s, "\xF4\x8F\xBF\xBF"s, ""s}) {
    EXPECT_TRUE(IsUtf8(text)) << testing::PrintToString(text);
    EXPECT_EQ(ToUtf8(text), text);
  }
}

TEST(Utf8, RefusesOverlongFormsSurrogatesAndWhatIsBeyondUnicode) {
  for (const std::string& text : {"\x80"s, "\xBF"s, "\xC0\x80"s, "\xC1\xBF"s, "\xE0\x9F\xBF"s,
                                  "\xED\xA0\x80"s, "\xED\xBF\xBF"s, "\xF0\x8F\xBF\xBF"s, "\xF4\x90\x80\x80"s,
                                  "\xF5\x80\x80\x80"s, "\xFF"s, "\xC2"s, "\xE2\x80"s, "\xF0\x9F\x98"s}) {
    EXPECT_FALSE(IsUtf8(text)) << testing::PrintToString(text);
    EXPECT_TRUE(IsUtf8(ToUtf8(text)));
  }
}

TEST(Utf8, ReplacesEachMaximalSubpartOnce) {
  const std::string r(kReplacementCharacter);
  EXPECT_EQ(ToUtf8("a\xE2\x80z"), "a" + r + "z") << "a character cut short is one";
  EXPECT_EQ(ToUtf8("\xF0\x9F\x98\xF0\x9F\x98\x80"), r + "\xF0\x9F\x98\x80");
  EXPECT_EQ(ToUtf8("\xED\xA0\x80"), r + r + r) << "after a surrogate's lead byte no second byte is valid";
  EXPECT_EQ(ToUtf8("\xC0\xAF"), r + r);
}

TEST(Utf8, StoresTextWithoutNul) {
  EXPECT_EQ(ToStorableText("a\0b\xFF"s),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
  EXPECT_EQ(ToStorableText("\x01 \n"), "\x01 \n");
}

TEST(Utf8, CutsBetweenCharacters) {
  const std::string text = "a\xC3\xA9\xF0\x9F\x98\x80";  // 1 + 2 + 4 bytes
  EXPECT_EQ(Utf8Prefix(text, 0), "");
  EXPECT_EQ(Utf8Prefix(text, 1), "a");
  EXPECT_EQ(Utf8Prefix(text, 2), "a");
  EXPECT_EQ(Utf8Prefix(text, 3), "a\xC3\xA9");
  for (std::size_t bytes = 4; bytes < 7; ++bytes) EXPECT_EQ(Utf8Prefix(text, bytes), "a\xC3\xA9");
  EXPECT_EQ(Utf8Prefix(text, 7), text);
  EXPECT_EQ(Utf8Prefix(text, 100), text);
  EXPECT_LE(Utf8Prefix(std::string(50, '\x80'), 10).size(), 10U) << "malformed text is cut too";
}

}  // namespace
}  // namespace postcall
