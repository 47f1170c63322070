#include "dispatcher/cli/config_file.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <regex>
#include <utility>

namespace postcall::cli {
namespace {

constexpr std::string_view kBareKey = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

// Thrown inside this file only, with what is wrong in the line being read.
struct Fault {
  std::string message;
};

// `code` is no surrogate and at most 10FFFF.
void AppendUtf8(std::string& text, std::uint32_t code) {
  const auto byte = [&text](std::uint32_t value) { text += static_cast<char>(value); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xC0 | (code >> 6));
    byte(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    byte(0xE0 | (code >> 12));
    byte(0x80 | ((code >> 6) & 0x3F));
    byte(0x80 | (code & 0x3F));
  } else {
    byte(0xF0 | (code >> 18));
    byte(0x80 | ((code >> 12) & 0x3F));
    byte(0x80 | ((code >> 6) & 0x3F));
    byte(0x80 | (code & 0x3F));
  }
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
  }

  int line() const { return line_; }

  std::vector<ConfigEntry> Read() {
    std::vector<ConfigEntry> entries;
    for (SkipToContent(); !AtEnd(); SkipToContent()) {
      if (Peek() == '[') throw Fault{"tables are not used here; write the keys without a [table] above"};
      ConfigEntry entry;
      entry.line = line_;
      entry.key = ReadKey();
      if (std::ranges::find(entries, entry.key, &ConfigEntry::key) != entries.end()) {
        throw Fault{"the key " + entry.key + " comes a second time; keep one"};
      }
      ReadValue(entry);
      EndLine();
      entries.push_back(std::move(entry));
    }
    return entries;
  }

 private:
  bool AtEnd() const { return text_.empty(); }
  char Peek() const { return AtEnd() ? '\n' : text_.front(); }
  char Take() {
    const char taken = Peek();
    if (!AtEnd()) text_.remove_prefix(1);
    if (taken == '\n') ++line_;
    return taken;
  }

  void SkipBlanks() {
    while (Peek() == ' ' || Peek() == '\t') Take();
  }

  // Over blanks, empty lines and comments.
  void SkipToContent() {
    while (!AtEnd()) {
      SkipBlanks();
      if (Peek() == '#') {
        while (!AtEnd() && Peek() != '\n') Take();
      } else if (Peek() == '\n' || text_.starts_with("\r\n")) {
        while (Take() != '\n') {
        }
      } else {
        return;
      }
    }
  }

  void EndLine() {
    SkipBlanks();
    if (Peek() == '#' || Peek() == '\n' || text_.starts_with("\r\n")) return;
    throw Fault{"something stands behind the value; put a text with blanks or commas in quotes"};
  }

  std::string ReadKey() {
    std::string key;
    if (Peek() == '"' || Peek() == '\'') {
      key = ReadQuoted();
    } else {
      while (kBareKey.find(Peek()) != std::string_view::npos) key += Take();
    }
    SkipBlanks();
    if (key.empty() || Peek() != '=') throw Fault{"this is no KEY = VALUE"};
    Take();
    SkipBlanks();
    return key;
  }

  void ReadValue(ConfigEntry& entry) {
    if (Peek() != '[') {
      entry.values.push_back(ReadScalar(entry.key));
      return;
    }
    entry.array = true;
    Take();
    for (SkipToContent(); Peek() != ']'; SkipToContent()) {
      if (AtEnd()) throw Fault{"the array of " + entry.key + " is not closed with ]"};
      entry.values.push_back(ReadScalar(entry.key));
      SkipToContent();
      if (Peek() == ',') {
        Take();
      } else if (!AtEnd() && Peek() != ']') {
        throw Fault{"a comma or ] is missing in the array of " + entry.key};
      }
    }
    Take();
  }

  std::string ReadScalar(const std::string& key) {
    if (Peek() == '"' || Peek() == '\'') return ReadQuoted();
    static const std::regex kBare(
        R"(true|false|[+-]?[0-9]+(_[0-9]+)*(\.[0-9]+(_[0-9]+)*)?([eE][+-]?[0-9]+)?)");
    std::string bare;
    while (std::string_view(" \t\r\n,]#").find(Peek()) == std::string_view::npos) bare += Take();
    if (bare.empty()) throw Fault{"the key " + key + " has no value"};
    if (!std::regex_match(bare, kBare)) throw Fault{"the value of " + key + " must be in quotes"};
    std::erase(bare, '_');
    if (bare.starts_with('+')) bare.erase(0, 1);
    return bare;
  }

  std::string ReadQuoted() {
    if (text_.starts_with("\"\"\"") || text_.starts_with("'''")) {
      throw Fault{"texts of several lines are not used here; write it in one pair of quotes"};
    }
    const char quote = Take();
    std::string text;
    for (;;) {
      if (Peek() == '\n') throw Fault{std::string("a text is not closed with ") + quote};
      const char next = Take();
      if (next == quote) return text;
      if ((static_cast<unsigned char>(next) < 0x20 && next != '\t') || next == 0x7F) {
        throw Fault{"a text holds a control character; remove it"};
      }
      if (next == '\\' && quote == '"') {
        ReadEscape(text);
      } else {
        text += next;
      }
    }
  }

  void ReadEscape(std::string& text) {
    constexpr std::string_view kLetters = "btnfr\"\\";
    constexpr std::string_view kMeanings = "\b\t\n\f\r\"\\";
    const char letter = Take();
    if (const auto at = kLetters.find(letter); at != std::string_view::npos) {
      text += kMeanings[at];
      return;
    }
    const std::size_t digits = letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    std::uint32_t code = 0;
    const std::string_view hex = text_.substr(0, digits);
    const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
    if (digits == 0 || hex.size() != digits || error != std::errc{} || end != hex.data() + digits ||
        code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
      throw Fault{R"(a text holds an escape that TOML does not know; write \\ for a backslash)"};
    }
    text_.remove_prefix(digits);
    AppendUtf8(text, code);
  }

  std::string_view text_;
  int line_ = 1;
};

}  // namespace

Result<std::vector<ConfigEntry>> ParseConfig(std::string_view toml) {
  Reader reader(toml);
  try {
    return reader.Read();
  } catch (const Fault& fault) {
    return Error{"line " + std::to_string(reader.line()) + ": " + fault.message};
  }
}

}  // namespace postcall::cli
