// Checks of texts that do not use common/utf8.h, because that is fuzzed too. Any thread; pure.
#pragma once

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace postcall::fuzz {

inline bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// The C0 controls and DEL. A C1 control is two bytes in UTF-8, so it is not a byte here.
inline bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

// `bytes` with one U+FFFD for each malformed part. nlohmann's writer does this with code of its own.
inline std::string Replaced(const std::string& bytes) {
  if (std::none_of(bytes.begin(), bytes.end(), [](char c) { return (c & 0x80) != 0; })) return bytes;
  return nlohmann::json::parse(
             nlohmann::json(bytes).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
      .get<std::string>();
}

inline bool IsStrictUtf8(const std::string& bytes) { return Replaced(bytes) == bytes; }

}  // namespace postcall::fuzz
