#include "dispatcher/cli/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <string>
#include <system_error>

#include "common/ascii.h"

namespace postcall::cli {
namespace {

template <class Number>
bool ReadAll(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

struct Unit {
  std::string_view name;
  std::int64_t bytes;
};
constexpr std::array kUnits = {
    Unit{"TiB", 1LL << 40}, Unit{"GiB", 1LL << 30}, Unit{"MiB", 1LL << 20},
    Unit{"KiB", 1LL << 10}, Unit{"B", 1},
};

std::string InWords(std::int64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes >= unit.bytes && bytes % unit.bytes == 0) {
      return std::to_string(bytes / unit.bytes) + " " + std::string(unit.name);
    }
  }
  return std::to_string(bytes);
}

}  // namespace

Result<std::int64_t> ParseWhole(std::string_view text, std::int64_t least, std::int64_t most) {
  std::int64_t number = 0;
  if (ReadAll(text, number) && number >= least && number <= most) return number;
  return Error{"must be a whole number from " + std::to_string(least) + " to " + std::to_string(most)};
}

Result<double> ParseShare(std::string_view text) {
  double number = 0;
  if (ReadAll(text, number) && number >= 0 && number <= 1) return number;
  return Error{"must be a number from 0 to 1"};
}

Result<std::int64_t> ParseBytes(std::string_view text, std::int64_t least, std::int64_t most) {
  std::int64_t factor = 1;
  std::string_view digits = text;
  for (const Unit& unit : kUnits) {
    if (text.size() < unit.name.size()) continue;
    if (!EqualInAnyCase(text.substr(text.size() - unit.name.size()), unit.name)) continue;
    factor = unit.bytes;
    digits.remove_suffix(unit.name.size());
    if (digits.ends_with(' ')) digits.remove_suffix(1);
    break;
  }
  std::int64_t number = 0;
  if (ReadAll(digits, number) && number >= 0 && number <= most / factor && number * factor >= least) {
    return number * factor;
  }
  return Error{"must be a size from " + InWords(least) + " to " + InWords(most) +
               ", such as 4096, 64KiB, 512MiB or 2GiB"};
}

Result<bool> ParseSwitch(std::string_view text) {
  const auto is_any = [text](std::initializer_list<std::string_view> words) {
    return std::ranges::any_of(words, [text](auto word) { return EqualInAnyCase(text, word); });
  };
  if (is_any({"true", "yes", "on", "1"})) return true;
  if (is_any({"false", "no", "off", "0"})) return false;
  return Error{"must be true or false"};
}

}  // namespace postcall::cli
