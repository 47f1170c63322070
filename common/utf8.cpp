#include "common/utf8.h"

namespace postcall {
namespace {

unsigned char ByteAt(std::string_view text, std::size_t i) { return static_cast<unsigned char>(text[i]); }

bool IsContinuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

template <class Keep>
std::string ReplaceUnless(std::string_view text, Keep keep) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Utf8Unit unit = FirstUtf8Unit(text);
    const std::string_view character = text.substr(0, unit.bytes);
    out.append(unit.well_formed && keep(character) ? character : kReplacementCharacter);
    text.remove_prefix(unit.bytes);
  }
  return out;
}

}  // namespace

// As in the Unicode standard, table 3-7. Replacement follows its recommended practice: one U+FFFD per maximal
// subpart.
Utf8Unit FirstUtf8Unit(std::string_view text) {
  const unsigned char lead = ByteAt(text, 0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // After these lead bytes the second byte has a narrower range, which excludes overlong forms, surrogates
  // and everything above U+10FFFF.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (text.size() < 2 || ByteAt(text, 1) < low || ByteAt(text, 1) > high) return {1, false};
  for (std::size_t i = 2; i < length; ++i) {
    if (i >= text.size() || !IsContinuation(ByteAt(text, i))) return {i, false};
  }
  return {length, true};
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Unit unit = FirstUtf8Unit(text);
    if (!unit.well_formed) return false;
    text.remove_prefix(unit.bytes);
  }
  return true;
}

std::string ToUtf8(std::string_view text) {
  return ReplaceUnless(text, [](std::string_view) { return true; });
}

std::string ToStorableText(std::string_view text) {
  return ReplaceUnless(text, [](std::string_view character) { return character.front() != '\0'; });
}

std::string_view Utf8Prefix(std::string_view text, std::size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  std::size_t end = max_bytes;
  // Go back three bytes at most: a character has no more continuation bytes than that.
  for (int back = 0; back < 3 && end > 0 && IsContinuation(ByteAt(text, end)); ++back) --end;
  return text.substr(0, end);
}

}  // namespace postcall
