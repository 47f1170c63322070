#include "schema/compact_json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>

namespace postcall {
namespace {

std::string Compact(std::string_view json) {
  std::string out;
  AppendCompactJson(out, json);
  return out;
}

TEST(CompactJson, HasNoWhiteSpaceBetweenTokens) {
  EXPECT_EQ(Compact(R"({"a": [1, 2.50, null], "b": {"c": true}})"), R"({"a":[1,2.50,null],"b":{"c":true}})");
  EXPECT_EQ(Compact(" \t\r\n[ ] \n"), "[]");
  EXPECT_EQ(Compact("17"), "17");
  EXPECT_EQ(Compact(""), "");
}

TEST(CompactJson, KeepsStringsAsTheyAre) {
  for (const std::string_view text : {R"(" a, b: c ")", R"("\" , ")", R"("\\")", R"("\\\" : ")",
                                      R"("\u0020 \n")", "\"\xFF \xC3\"", R"("")"}) {
    EXPECT_EQ(Compact("[" + std::string(text) + ", " + std::string(text) + "]"),
              "[" + std::string(text) + "," + std::string(text) + "]");
  }
}

TEST(CompactJson, AppendsToWhatIsThere) {
  std::string out = "before ";
  AppendCompactJson(out, "[1, 2]");
  EXPECT_EQ(out, "before [1,2]");
}

TEST(CompactJson, ReadsNothingBehindTextThatIsCutShort) {
  for (const std::string_view text : {"\"", "\"\\", "[\"a\\\"", "[1, "}) {
    EXPECT_LE(Compact(std::string(text)).size(), text.size());
  }
}

class RandomJson {
 public:
  explicit RandomJson(unsigned seed) : random_(seed) {}

  nlohmann::ordered_json Value(int depth = 0) {
    switch (Below(depth > 4 ? 3 : 5)) {
      case 0:
        return Text();
      case 1:
        return static_cast<std::int64_t>(Below(1U << 31)) - (1 << 30);
      case 2:
        return Below(2) == 0 ? nlohmann::ordered_json(nullptr) : nlohmann::ordered_json(Below(2) == 0);
      case 3: {
        nlohmann::ordered_json array = nlohmann::ordered_json::array();
        for (std::size_t n = Below(5); n > 0; --n) array.push_back(Value(depth + 1));
        return array;
      }
      default: {
        nlohmann::ordered_json object = nlohmann::ordered_json::object();
        for (std::size_t n = Below(5); n > 0; --n) object[Text()] = Value(depth + 1);
        return object;
      }
    }
  }

  std::size_t Below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

 private:
  // Many quotes, backslashes and spaces.
  std::string Text() {
    static constexpr std::string_view kCharacters = "\"\\ ,:[]{}\n\tab1\x01";
    std::string text;
    for (std::size_t n = Below(12); n > 0; --n) text += kCharacters[Below(kCharacters.size())];
    return text;
  }

  std::mt19937 random_;
};

TEST(CompactJson, OfAnyValueIsWhatAnIndependentWriterWrites) {
  constexpr unsigned kSeed = 20'261'128;
  RandomJson random(kSeed);
  for (int round = 0; round < 5'000; ++round) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(round));
    const nlohmann::ordered_json value = random.Value();
    const char indent = "\t "[random.Below(2)];
    ASSERT_EQ(Compact(value.dump(static_cast<int>(random.Below(4)), indent)), value.dump());
  }
}

}  // namespace
}  // namespace postcall
