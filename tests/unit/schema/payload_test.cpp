#include "schema/payload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace postcall {
namespace {

using namespace std::string_view_literals;
using OrderedJson = nlohmann::ordered_json;

std::string FileOf(const std::string& name) {
  std::ifstream file(POSTCALL_SCHEMA_DIR "/" + name, std::ios::binary);
  EXPECT_TRUE(file) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Reads a golden example: one request body and a line end.
std::string Example(const std::string& name) { return FileOf("examples/" + name); }

void SetDetail(Call& call, std::string_view key, std::string_view value) {
  for (std::size_t i = 0; i < kCallerDetailFields.size(); ++i) {
    if (kCallerDetailFields[i].key == key) {
      call.caller_details[i] = value;
      return;
    }
  }
  FAIL() << "no such key: " << key;
}

std::vector<std::string> Keys(const OrderedJson& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

Call EveryField() {
  Call call;
  call.id = "call-0042";
  call.recording_uri = "https://storage.example.com/recordings/call-0042.ogg";
  call.transcript_uri = "https://storage.example.com/transcripts/call-0042.json";
  const std::array values = {"Asha Rao"sv,
                             "+91-98765-43210"sv,
                             "asha.rao@example.com"sv,
                             "2025-01-20T10:00:00Z"sv,
                             "12 MG Road"sv,
                             "560001"sv,
                             "Bengaluru"sv,
                             "Karnataka"sv,
                             "India"sv,
                             "34"sv,
                             "female"sv,
                             "Architect"sv,
                             ""sv,
                             "phone"sv,
                             "after 18:00"sv,
                             "English"sv};
  std::copy(values.begin(), values.end(), call.caller_details.begin());
  call.analysis.summary = "Asked for a visit to the site.";
  call.analysis.mood = "Neutral";
  call.analysis.score = "92.5";
  call.analysis.call_outcome = "Appointment Scheduled";
  call.analysis.classification = "Site Visit";
  call.analysis.interests_and_needs = R"({"budget": 7500000, "needs": ["3 bedrooms", "parking"]})";
  call.analysis.action_items = R"([{"due": "2025-01-21", "task": "send brochure"}])";
  call.analysis.sentiment = R"({"end": "positive", "start": "neutral"})";
  return call;
}

TEST(Payload, IsTheDocumentedExample) {
  Call call;
  call.id = "693bff62619c51fac21acf50";
  call.recording_uri = "https://storage.example.com/recordings/693bff62619c51fac21acf50/call_recording.ogg";
  call.transcript_uri = "https://storage.example.com/transcripts/transcript_693bff62619c51fac21acf50.json";
  SetDetail(call, "name", "John Smith");
  SetDetail(call, "phoneNumber", "+1-555-123-4567");
  SetDetail(call, "email", "john.smith@example.com");
  SetDetail(call, "scheduledTime", "2025-01-20T10:00:00Z");
  SetDetail(call, "address", "123 Main Street");
  SetDetail(call, "city", "New York");
  SetDetail(call, "state", "NY");
  SetDetail(call, "country", "USA");
  SetDetail(call, "language", "English");
  call.analysis.summary = "Customer called to schedule a product demo...";
  call.analysis.mood = "Positive";
  call.analysis.score = "85";
  call.analysis.call_outcome = "Demo Scheduled";
  call.analysis.classification = "Sales Inquiry";
  EXPECT_EQ(BuildPayload(call) + "\n", Example("documented.json"));
}

TEST(Payload, HasTheTwoObjectsWhenNothingIsKnown) {
  Call call;
  call.id = "c-1";
  EXPECT_EQ(BuildPayload(call) + "\n", Example("minimal.json"));
}

TEST(Payload, HasEveryFieldInOrder) {
  EXPECT_EQ(BuildPayload(EveryField()) + "\n", Example("every_field.json"));
}

TEST(Payload, CarriesUnicodeAndEscapesControls) {
  Call call;
  call.id = "anruf-ü/電話-📞";
  SetDetail(call, "name", R"("Björk" Guðmundsdóttir \ 张伟)");
  SetDetail(call, "phoneNumber", "\0\x01\x1F\x7F\xC2\x85"sv);
  SetDetail(call, "email", "");
  SetDetail(call, "address", "line 1\nline 2\r\n\ttab\b\f");
  SetDetail(call, "city", "\xE2\x80\xA8\xE2\x80\xA9\xEF\xBB\xBF\xEF\xBF\xBF\xF4\x8F\xBF\xBF");
  SetDetail(call, "language",
            "العربية \xE2\x80\xAE"
            "abc");
  call.analysis.summary = "</script>' & 👨\xE2\x80\x8D👩\xE2\x80\x8D👧";
  call.analysis.mood = "malformed: \xFF\xC3 \xF0\x9F\x98";
  call.analysis.sentiment = R"({"😀": "tschüß \u0001 \"quoted\""})";
  EXPECT_EQ(BuildPayload(call) + "\n", Example("unicode.json"));
}

TEST(Payload, KeepsEveryDigitOfANumber) {
  Call call;
  call.id = "9007199254740993";
  SetDetail(call, "age", "123456789012345678901234567890");
  call.analysis.score = "12345678901234567890.123456789012345678901234567890";
  call.analysis.interests_and_needs =
      R"({"pi": 3.14159265358979323846264338327950288419716939937510, "account": 123456789012345678901234567890, )"
      R"("negative": -0.000000000000000000000000000001})";
  call.analysis.action_items = "[18446744073709551616, 1.0, 100, 1.10]";
  const std::string large = "1" + std::string(105, '0');
  call.analysis.sentiment = large;
  EXPECT_EQ(BuildPayload(call) + "\n", Example("big_numbers.json"));
}

std::string WithScore(std::string_view score) {
  Call call;
  call.analysis.score = score;
  return BuildPayload(call);
}

TEST(Payload, WritesTheScoreAsPostgreSqlPrintsIt) {
  for (const char* score : {"85", "92.5", "0", "-1", "-0.5", "100.00", "0.000", "1e+20", "1.5e-07", "2E5"}) {
    EXPECT_EQ(WithScore(score),
              R"({"callId":"","callerDetails":{},"callAnalysis":{"score":)" + std::string(score) + "}}");
  }
}

TEST(Payload, LeavesOutAScoreThatIsNotANumber) {
  for (const char* score :
       {"NaN", "Infinity", "-Infinity", "",    "-",    "01",    "1.",  ".5",    "+1", "1e",  "1e+",
        "0x1", "1 ",       " 1",        "1,5", "null", "\"1\"", "--1", "1.5.5", "00", "-01", "1}"}) {
    EXPECT_EQ(WithScore(score), R"({"callId":"","callerDetails":{},"callAnalysis":{}})") << score;
  }
}

TEST(Payload, SendsJsonValuesOfEveryKindAsStored) {
  for (const char* json : {"null", "true", "\"text\"", "0", "[]", "{}", "[null]"}) {
    Call call;
    call.analysis.action_items = json;
    EXPECT_EQ(BuildPayload(call),
              R"({"callId":"","callerDetails":{},"callAnalysis":{"actionItems":)" + std::string(json) + "}}");
  }
}

TEST(Payload, ReplacesMalformedBytesInsideJsonValues) {
  Call call;
  call.analysis.sentiment = "{\"a\": \"\xFF\"}";
  EXPECT_EQ(BuildPayload(call), R"({"callId":"","callerDetails":{},"callAnalysis":{"sentiment":{"a":"�"}}})");
}

TEST(Payload, SeparatesMembersWhicheverIsFirst) {
  for (std::size_t i = 0; i < kCallerDetailFields.size(); ++i) {
    Call call;
    call.id = "c";
    call.caller_details[i] = "x";
    call.caller_details[kCallerDetailFields.size() - 1] = "y";
    const OrderedJson parsed = OrderedJson::parse(BuildPayload(call), nullptr, false);
    ASSERT_TRUE(parsed.is_object()) << i;
    EXPECT_EQ(parsed["callerDetails"].size(), i + 1 == kCallerDetailFields.size() ? 1U : 2U);
  }
}

TEST(PayloadSchema, HasTheKeysOfThePayloadInItsOrder) {
  const OrderedJson schema = OrderedJson::parse(FileOf("payload.schema.json"));
  const OrderedJson payload = OrderedJson::parse(BuildPayload(EveryField()));
  const OrderedJson& properties = schema["properties"];
  EXPECT_EQ(Keys(properties), Keys(payload));
  EXPECT_EQ(schema["additionalProperties"], false);
  for (const char* part : {"callerDetails", "callAnalysis"}) {
    EXPECT_EQ(Keys(properties[part]["properties"]), Keys(payload[part]));
    EXPECT_EQ(properties[part]["additionalProperties"], false);
  }
  EXPECT_EQ(Keys(OrderedJson::parse(Example("minimal.json"))),
            schema["required"].get<std::vector<std::string>>());
}

}  // namespace
}  // namespace postcall
