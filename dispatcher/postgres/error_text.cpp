#include "dispatcher/postgres/error_text.h"

#include <algorithm>
#include <cstddef>

namespace postcall::postgres {
namespace {

// The longest severity in PostgreSQL's translations has 30 bytes ("ÖLÜMCÜL (FATAL)" and the like).
constexpr std::size_t kLongestSeverity = 40;

// A severity is a word or two, then a colon and two blanks. In a sentence that contains a colon and two
// blanks, a quote or another colon comes before them.
std::string_view WithoutSeverity(std::string_view message) {
  constexpr std::string_view kEnd = ":  ";
  const std::size_t end = message.find(kEnd);
  if (end == 0 || end > kLongestSeverity) return message;
  const std::string_view severity = message.substr(0, end);
  if (severity.find_first_of(":\"'\n0123456789") != std::string_view::npos) return message;
  return message.substr(end + kEnd.size());
}

// The text between the quotes may be a whole statement, which has quotes and line breaks itself.
std::string_view WithoutStatement(std::string_view message) {
  constexpr std::string_view kEnd = "': ";
  if (!message.starts_with("Failure during '")) return message;
  std::size_t first = std::string_view::npos;
  for (std::size_t end = message.find(kEnd); end != std::string_view::npos;
       end = message.find(kEnd, end + 1)) {
    const std::string_view rest = message.substr(end + kEnd.size());
    if (WithoutSeverity(rest).size() != rest.size()) return rest;
    first = std::min(first, end);
  }
  return first == std::string_view::npos ? message : message.substr(first + kEnd.size());
}

// Verbose messages begin with the SQLSTATE; a commit asks for them (StandbyWait).
std::string_view WithoutCode(std::string_view message) {
  constexpr std::size_t kLength = 5;
  const auto is_of_code = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); };
  if (!std::ranges::all_of(message.substr(0, kLength), is_of_code)) return message;
  if (!message.substr(std::min(kLength, message.size())).starts_with(": ")) return message;
  return message.substr(kLength + 2);
}

}  // namespace

std::string FirstLine(std::string_view message) {
  const std::string_view whole = WithoutStatement(message);
  message = WithoutSeverity(whole);
  if (message.size() < whole.size()) message = WithoutCode(message);
  return std::string(message.substr(0, message.find('\n')));
}

std::string OneLine(std::string_view message) {
  constexpr std::string_view kFailed = " failed: ";
  std::string all;
  while (!message.empty()) {
    std::string_view line = message.substr(0, message.find('\n'));
    message.remove_prefix(std::min(line.size() + 1, message.size()));
    while (line.ends_with(' ')) line.remove_suffix(1);
    if (line.empty()) continue;
    if (!all.empty()) all += ' ';
    if (const std::size_t failed = line.find(kFailed); failed != std::string_view::npos) {
      all += line.substr(0, failed + kFailed.size());
      line.remove_prefix(failed + kFailed.size());
    }
    all += WithoutSeverity(line);
  }
  std::ranges::replace(all, '\t', ' ');
  return all;
}

}  // namespace postcall::postgres
