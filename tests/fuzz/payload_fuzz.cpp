// An independent parser reads the payload (CONTRACT §2).
//
// The input is the call's id and its columns, in the payload's order, each ended by a backslash and one more
// byte; the last four bytes say which columns are NULL.
#include <fuzzer/FuzzedDataProvider.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/payload.h"
#include "tests/fuzz/require.h"
#include "tests/fuzz/text.h"

namespace postcall::fuzz {
namespace {

using Json = nlohmann::ordered_json;

// The keys of CONTRACT §2, written a second time.
constexpr std::array kDetails = {"name",           "phoneNumber",
                                 "email",          "scheduledTime",
                                 "address",        "pincode",
                                 "city",           "state",
                                 "country",        "age",
                                 "gender",         "occupation",
                                 "company",        "preferredContactMethod",
                                 "bestTimeToCall", "language"};
constexpr std::array kAnalysis = {"summary",     "mood",           "score",
                                  "callOutcome", "classification", "interestsAndNeeds",
                                  "actionItems", "sentiment"};
enum class Kind { kText, kNumber, kJson };
constexpr std::array kAnalysisKinds = {Kind::kText, Kind::kText, Kind::kNumber, Kind::kText,
                                       Kind::kText, Kind::kJson, Kind::kJson,   Kind::kJson};

using Value = std::optional<std::string>;

struct Values {
  std::string id;
  Value recording, transcript;
  std::array<Value, kDetails.size()> details;
  std::array<Value, kAnalysis.size()> analysis;
};

// jsonb contains only JSON; in a database that is not UTF-8, with any bytes inside its strings. For the
// parser, a NUL is the end.
Value AsJson(Value value) {
  if (!value) return value;
  const bool is_json =
      value->find('\0') == std::string::npos && !value->starts_with('\xEF') && Json::accept(Replaced(*value));
  return is_json ? value : Json(Replaced(*value)).dump();
}

Values Read(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  auto null = input.ConsumeIntegral<std::uint32_t>();
  const auto next = [&]() -> Value {
    std::string text = input.ConsumeRandomLengthString();
    const bool is_null = (std::exchange(null, null >> 1) & 1) != 0;
    return is_null ? Value() : Value(std::move(text));
  };
  Values values;
  values.id = input.ConsumeRandomLengthString();
  values.recording = next();
  values.transcript = next();
  for (Value& detail : values.details) detail = next();
  for (std::size_t i = 0; i < kAnalysis.size(); ++i) {
    values.analysis[i] = kAnalysisKinds[i] == Kind::kJson ? AsJson(next()) : next();
  }
  return values;
}

Call CallOf(const Values& values) {
  Call call;
  call.id = values.id;
  call.recording_uri = values.recording;
  call.transcript_uri = values.transcript;
  for (std::size_t i = 0; i < kDetails.size(); ++i) call.caller_details[i] = values.details[i];
  const auto& analysis = values.analysis;
  call.analysis = {analysis[0], analysis[1], analysis[2], analysis[3],
                   analysis[4], analysis[5], analysis[6], analysis[7]};
  return call;
}

// Whether the parser accepts `text`, or refuses it only because of a number beyond the range of a double.
bool IsJson(const std::string& text) {
  try {
    static_cast<void>(Json::parse(text));
    return true;
  } catch (const Json::out_of_range&) {
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

// Without the white space between tokens. A quote ends a string unless an odd number of backslashes is before
// it.
std::string Stripped(const std::string& json) {
  std::string stripped;
  bool in_string = false;
  std::size_t backslashes = 0;
  for (const char c : json) {
    if (c == '"' && backslashes % 2 == 0) in_string = !in_string;
    backslashes = c == '\\' ? backslashes + 1 : 0;
    if (in_string || std::string_view(" \t\n\r").find(c) == std::string_view::npos) stripped += c;
  }
  return stripped;
}

// JSON numbers are the texts that the C library reads to their end, except "+1", ".5", "5." and "05".
bool IsNumber(const std::string& text) {
  const auto is_digit = [&text](std::size_t i) {
    return i < text.size() && text[i] >= '0' && text[i] <= '9';
  };
  if (text.find_first_not_of("0123456789+-.eE") != std::string::npos) return false;
  char* end = nullptr;
  static_cast<void>(std::strtod(text.c_str(), &end));
  const std::size_t first = text.find_first_not_of('-');
  const std::size_t point = text.find('.');
  return end == text.c_str() + text.size() && is_digit(first) &&
         !(text[first] == '0' && is_digit(first + 1)) && (point == std::string::npos || is_digit(point + 1));
}

class Expected {
 public:
  void Text(const char* key, const Value& value) {
    if (value) members_.emplace_back(key, Json(Replaced(*value)).dump());
  }
  void Number(const char* key, const Value& value) {
    if (value && IsNumber(*value)) members_.emplace_back(key, *value);
  }
  void AnyJson(const char* key, const Value& value) {
    if (value) members_.emplace_back(key, Stripped(Replaced(*value)));
  }

  // Checks that the object has these keys, in this order, and these values.
  void Check(const Json& object, const std::string& body) const {
    Require(object.is_object() && object.size() == members_.size(),
            "each key that has a value is in the payload once", {body});
    std::size_t i = 0;
    for (const auto& [key, value] : object.items()) {
      const auto& [name, text] = members_[i++];
      Require(key == name, "the keys are in the contract's order", {body, key, name});
      // Reading a number loses digits, so a value that is not a string is searched for as text.
      if (text.front() == '"') {
        Require(value == Json::parse(text), "a string is that of the column", {body, text});
      } else {
        const std::string written = "\"" + key + "\":" + text;
        const std::size_t at = body.find(written);
        Require(at != std::string::npos, "numbers and JSON keep every digit", {body, written});
      }
    }
  }

 private:
  std::vector<std::pair<std::string, std::string>> members_;  // key and JSON
};

void RunOne(const Values& values) {
  const std::string body = BuildPayload(CallOf(values));
  Require(body.front() == '{', "there is no byte order mark and no space", {body});
  // The parser also refuses a text that is not UTF-8.
  const Json parsed = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) {
    Require(IsJson(body), "the payload is JSON", {body});
    return;  // a receiver may be able to read huge numbers, but this parser cannot
  }
  Require(parsed.is_object() && parsed.contains("callerDetails") && parsed.contains("callAnalysis"),
          "both objects are always there", {body});

  Expected call, details, analysis;
  call.Text("callId", values.id);
  call.Text("recordingUri", values.recording);
  call.Text("transcriptUri", values.transcript);
  for (std::size_t i = 0; i < kDetails.size(); ++i) details.Text(kDetails[i], values.details[i]);
  for (std::size_t i = 0; i < kAnalysis.size(); ++i) {
    switch (kAnalysisKinds[i]) {
      case Kind::kText:
        analysis.Text(kAnalysis[i], values.analysis[i]);
        break;
      case Kind::kNumber:
        analysis.Number(kAnalysis[i], values.analysis[i]);
        break;
      case Kind::kJson:
        analysis.AnyJson(kAnalysis[i], values.analysis[i]);
        break;
    }
  }
  details.Check(parsed["callerDetails"], body);
  analysis.Check(parsed["callAnalysis"], body);
  call.AnyJson("callerDetails", "{");
  call.AnyJson("callAnalysis", "{");
  call.Check(parsed, body);
}

}  // namespace
}  // namespace postcall::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using postcall::fuzz::Values;
  Values values = postcall::fuzz::Read(data, size);
  postcall::fuzz::RunOne(values);
  // Also uses the first text as the number, because few inputs have a text there.
  Values number;
  number.analysis[2] = std::move(values.id);
  postcall::fuzz::RunOne(number);
  return 0;
}
