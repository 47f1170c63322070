// How a fuzz target reports a broken promise: it prints one sentence and the texts that show it to standard
// error, then ends the process. libFuzzer keeps the input. Any thread.
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string_view>

namespace postcall::fuzz {

inline void Show(std::string_view text) {
  constexpr std::size_t kShown = 1000;
  std::fputs("  \"", stderr);
  for (const char c : text.substr(0, kShown)) {
    const bool plain = c >= ' ' && c <= '~' && c != '"' && c != '\\';
    std::fprintf(stderr, plain ? "%c" : "\\x%02x", static_cast<unsigned char>(c));
  }
  std::fprintf(stderr, "\"%s\n", text.size() > kShown ? " and more" : "");
}

inline void Require(bool holds, const char* promise, std::initializer_list<std::string_view> shown) {
  if (holds) return;
  std::fprintf(stderr, "BROKEN: %s\n", promise);
  for (const std::string_view text : shown) Show(text);
  std::abort();
}

}  // namespace postcall::fuzz
