// ASCII letters in any case, as in the names of hosts, headers and options. All other bytes stay as they are,
// whatever the locale is. Any thread; pure.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace postcall {

constexpr char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline std::string ToLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = ToLower(c);
  return lower;
}

constexpr bool EqualInAnyCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return ToLower(x) == ToLower(y); });
}

}  // namespace postcall
