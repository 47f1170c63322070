#include <gtest/gtest.h>
#include <array>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "common/utf8.h"
#include "schema/payload.h"

namespace postcall {
namespace {

// It is fixed, so that a failure can be repeated. Each failure prints it.
constexpr unsigned kSeed = 20'250'120;

void AppendCharacter(std::string& text, char32_t c) {
  const auto put = [&text](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

class RandomText {
 public:
  std::string OfUnicode() {
    std::string text;
    for (std::size_t n = Below(40); n > 0; --n) AppendCharacter(text, Character());
    return text;
  }
  std::string OfBytes() {
    std::string text;
    for (std::size_t n = Below(40); n > 0; --n) {
      // Half of the bytes are lead and continuation bytes, so that sequences are cut at every position.
      text += static_cast<char>(Below(2) == 0 ? Below(256) : 0x80 + Below(128));
    }
    return text;
  }
  std::size_t Below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

 private:
  char32_t Character() {
    static constexpr char32_t kSpecial[] = {'"',    '\\',   '/',    0,      0x1F,    0x7F,    0x80,
                                            0x85,   0x7FF,  0x800,  0x2028, 0x2029,  0xD7FF,  0xE000,
                                            0xFDD0, 0xFEFF, 0xFFFE, 0xFFFF, 0x10000, 0x10FFFF};
    switch (Below(6)) {
      case 0:
        return static_cast<char32_t>(Below(0x20));
      case 1:
        return static_cast<char32_t>(0x20 + Below(0x60));
      case 2:
        return kSpecial[Below(std::size(kSpecial))];
      case 3:
        return static_cast<char32_t>(Below(0x11) << 16 | (0xFFFE + Below(2)));  // noncharacters of each plane
      default: {
        const auto c = static_cast<char32_t>(Below(0x110000));
        return c >= 0xD800 && c <= 0xDFFF ? U'\uFFFD' : c;
      }
    }
  }

  std::mt19937 random_{kSeed};
};

struct Texts {
  std::string id, recording_uri, summary;
  std::array<std::string, kCallerDetailFields.size()> details;
};

TEST(PayloadProperty, AnyUnicodeTextComesBackFromAnIndependentParser) {
  RandomText random;
  for (int round = 0; round < 1'000; ++round) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(round));
    Texts texts{random.OfUnicode(), random.OfUnicode(), random.OfUnicode(), {}};
    Call call;
    call.id = texts.id;
    call.recording_uri = texts.recording_uri;
    call.analysis.summary = texts.summary;
    nlohmann::json details = nlohmann::json::object();
    for (std::size_t i = 0; i < texts.details.size(); ++i) {
      if (random.Below(3) == 0) continue;
      texts.details[i] = random.OfUnicode();
      call.caller_details[i] = texts.details[i];
      details[std::string(kCallerDetailFields[i].key)] = texts.details[i];
    }
    const std::string body = BuildPayload(call);
    ASSERT_TRUE(IsUtf8(body));
    const nlohmann::json expected = {{"callId", texts.id},
                                     {"recordingUri", texts.recording_uri},
                                     {"callerDetails", details},
                                     {"callAnalysis", {{"summary", texts.summary}}}};
    ASSERT_EQ(nlohmann::json::parse(body, nullptr, false), expected) << body;
  }
}

// nlohmann's writer also writes one U+FFFD per maximal malformed subpart.
TEST(PayloadProperty, AnyBytesAreEscapedAsAnIndependentWriterDoes) {
  RandomText random;
  for (int round = 0; round < 20'000; ++round) {
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(round));
    const std::string bytes = round % 2 == 0 ? random.OfBytes() : random.OfUnicode();
    Call call;
    call.id = bytes;
    const std::string expected =
        nlohmann::json(bytes).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    ASSERT_EQ(BuildPayload(call), R"({"callId":)" + expected + R"(,"callerDetails":{},"callAnalysis":{}})")
        << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace postcall
