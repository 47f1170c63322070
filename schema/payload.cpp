#include "schema/payload.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "common/utf8.h"
#include "schema/compact_json.h"

namespace postcall {
namespace {

constexpr std::string_view kDigits = "0123456789";

// Bytes that a JSON string can contain unchanged: all of ASCII except the quote, the backslash and the
// control characters. Well-formed UTF-8 beyond ASCII is copied as well, after a check.
constexpr std::array<bool, 256> kPlain = [] {
  std::array<bool, 256> plain{};
  for (std::size_t byte = 0x20; byte < 0x80; ++byte) plain[byte] = byte != '"' && byte != '\\';
  return plain;
}();

void AppendEscaped(std::string& out, char c) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 0x0F];
  }
}

void AppendString(std::string& out, std::string_view text) {
  out += '"';
  std::size_t copied = 0;  // plain text is copied in runs; this is the end of the last one
  std::size_t i = 0;
  while (i < text.size()) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (kPlain[byte]) {
      ++i;
      continue;
    }
    const Utf8Unit unit = FirstUtf8Unit(text.substr(i));
    if (unit.well_formed && byte >= 0x80) {
      i += unit.bytes;
      continue;
    }
    out.append(text, copied, i - copied);
    if (unit.well_formed) {
      AppendEscaped(out, text[i]);
    } else {
      out += kReplacementCharacter;
    }
    i += unit.bytes;
    copied = i;
  }
  out.append(text, copied);
  out += '"';
}

// Malformed UTF-8 is replaced, which a SQL_ASCII database can return.
void AppendJson(std::string& out, std::string_view json) {
  if (IsUtf8(json)) {
    AppendCompactJson(out, json);
  } else {
    AppendCompactJson(out, ToUtf8(json));
  }
}

// RFC 8259, 6. All numbers that PostgreSQL prints are JSON numbers, except NaN and the infinities.
bool IsJsonNumber(std::string_view text) {
  const auto skip_digits = [&text] {
    const std::size_t count = std::min(text.find_first_not_of(kDigits), text.size());
    text.remove_prefix(count);
    return count;
  };
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool leading_zero = text.starts_with('0');
  const std::size_t whole = skip_digits();
  if (whole == 0 || (leading_zero && whole > 1)) return false;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (skip_digits() == 0) return false;
  }
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (skip_digits() == 0) return false;
  }
  return text.empty();
}

// Writes the members of one object, and the commas between them.
class Members {
 public:
  explicit Members(std::string& out) : out_(out) { out_ += '{'; }

  void String(std::string_view key, const Column& column) {
    if (!column) return;
    Key(key);
    AppendString(out_, *column);
  }
  void Number(std::string_view key, const Column& column) {
    if (!column || !IsJsonNumber(*column)) return;
    Key(key);
    out_ += *column;
  }
  void Json(std::string_view key, const Column& column) {
    if (!column) return;
    Key(key);
    AppendJson(out_, *column);
  }
  // The contract fixes the keys, and none of them needs an escape.
  void Key(std::string_view key) {
    if (!first_) out_ += ',';
    first_ = false;
    out_ += '"';
    out_ += key;
    out_ += "\":";
  }
  void End() { out_ += '}'; }

 private:
  std::string& out_;
  bool first_ = true;
};

std::size_t Bytes(const Column& column) { return column ? column->size() : 0; }

// The size of the columns plus room for all keys. Escapes may need more, which costs one more allocation.
std::size_t ExpectedBytes(const Call& call) {
  constexpr std::size_t kKeysAndQuotes = 700;
  std::size_t bytes =
      kKeysAndQuotes + call.id.size() + Bytes(call.recording_uri) + Bytes(call.transcript_uri);
  for (const Column& column : call.caller_details) bytes += Bytes(column);
  const CallAnalysis& analysis = call.analysis;
  for (const Column* column :
       {&analysis.summary, &analysis.mood, &analysis.score, &analysis.call_outcome, &analysis.classification,
        &analysis.interests_and_needs, &analysis.action_items, &analysis.sentiment}) {
    bytes += Bytes(*column);
  }
  return bytes;
}

void AppendCallerDetails(std::string& out, const Call& call) {
  Members details(out);
  for (std::size_t i = 0; i < kCallerDetailFields.size(); ++i) {
    details.String(kCallerDetailFields[i].key, call.caller_details[i]);
  }
  details.End();
}

void AppendCallAnalysis(std::string& out, const CallAnalysis& analysis) {
  Members members(out);
  members.String("summary", analysis.summary);
  members.String("mood", analysis.mood);
  members.Number("score", analysis.score);
  members.String("callOutcome", analysis.call_outcome);
  members.String("classification", analysis.classification);
  members.Json("interestsAndNeeds", analysis.interests_and_needs);
  members.Json("actionItems", analysis.action_items);
  members.Json("sentiment", analysis.sentiment);
  members.End();
}

}  // namespace

std::string BuildPayload(const Call& call) {
  std::string body;
  body.reserve(ExpectedBytes(call));
  Members members(body);
  members.String("callId", call.id);
  members.String("recordingUri", call.recording_uri);
  members.String("transcriptUri", call.transcript_uri);
  members.Key("callerDetails");
  AppendCallerDetails(body, call);
  members.Key("callAnalysis");
  AppendCallAnalysis(body, call.analysis);
  members.End();
  return body;
}

}  // namespace postcall
