#include "dispatcher/cli/config_file.h"

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace postcall::cli {
namespace {

constexpr const char* kNotToml =
    ": this is not TOML in UTF-8; write each key once as KEY = VALUE, with strings in quotes";
constexpr const char* kTable =
    ": tables are not used here; write the keys without a [table] above, and without dots";
constexpr const char* kWrongKind =
    " must be a string in quotes, a number, true or false, or an array of these";

std::string LineOf(const toml::source_position& place) { return "line " + std::to_string(place.line); }

// The text of a value; no value for a type that no setting takes, such as a time or an array in an array.
std::optional<std::string> TextOf(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* whole = node.as_integer()) return std::to_string(whole->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  if (const auto* number = node.as_floating_point()) {
    std::array<char, 32> text;  // the shortest text that gives the same number has at most 24 characters
    return std::string(text.data(), std::to_chars(text.begin(), text.end(), number->get()).ptr);
  }
  return std::nullopt;
}

Result<ConfigEntry> EntryOf(std::string_view key, const toml::node& node) {
  const toml::source_position& place = node.source().begin;
  if (node.is_table() || node.is_array_of_tables()) return Error{LineOf(place) + kTable};
  ConfigEntry entry{
      .key = std::string(key), .values = {}, .array = node.is_array(), .line = static_cast<int>(place.line)};
  const auto add = [&entry](const toml::node& value) {
    auto text = TextOf(value);
    if (!text) return false;
    entry.values.push_back(*std::move(text));
    return true;
  };
  const toml::array* const array = node.as_array();
  if (array == nullptr ? add(node) : std::all_of(array->begin(), array->end(), add)) return entry;
  return Error{LineOf(place) + ": the value of " + entry.key + kWrongKind};
}

}  // namespace

Result<std::vector<ConfigEntry>> ParseConfig(std::string_view toml) {
  toml::table table;
  try {
    table = toml::parse(toml);
  } catch (const toml::parse_error& error) {
    // The library's own message is left out, because it may quote a part of the value.
    const toml::source_position& place = error.source().begin;
    return Error{LineOf(place) + ", column " + std::to_string(place.column) + kNotToml};
  }
  std::vector<ConfigEntry> entries;
  for (const auto& [key, node] : table) {
    Result<ConfigEntry> entry = EntryOf(key, node);
    if (!entry) return Error{entry.error()};
    entries.push_back(*std::move(entry));
  }
  std::ranges::sort(entries, {}, &ConfigEntry::line);  // the table has them in the order of their names
  return entries;
}

}  // namespace postcall::cli
