// UTF-8 as the Unicode standard defines it: no surrogates, no overlong forms, nothing above U+10FFFF.
// Any thread; pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace postcall {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD
inline constexpr std::string_view kEllipsis = "\xE2\x80\xA6";              // U+2026

// What a text begins with: one character, or malformed bytes that one U+FFFD replaces.
struct Utf8Unit {
  std::size_t bytes;
  bool well_formed;
};

// `text` must not be empty.
Utf8Unit FirstUtf8Unit(std::string_view text);

bool IsUtf8(std::string_view text);

// `text` with malformed bytes replaced by U+FFFD.
std::string ToUtf8(std::string_view text);

// `text` with malformed bytes and NUL replaced by U+FFFD, so that a text column can store it.
std::string ToStorableText(std::string_view text);

// The longest prefix of at most `max_bytes` that does not cut a character.
std::string_view Utf8Prefix(std::string_view text, std::size_t max_bytes);

}  // namespace postcall
