// Short forms for tests of the command line. One thread.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "dispatcher/cli/options.h"

namespace postcall::cli {

using Variables = std::map<std::string, std::string>;

inline std::variant<Invocation, Leave> Parse(const std::vector<std::string>& arguments,
                                             const Variables& variables = {}) {
  return ParseCommandLine(arguments, [&variables](const std::string& name) {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional<std::string>(found->second);
  });
}

// The options of a good command line; throws, showing the complaint, when it is not good.
inline Options Good(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  auto parsed = Parse(arguments, variables);
  if (const Leave* leave = std::get_if<Leave>(&parsed)) throw std::runtime_error(leave->text);
  return std::get<Invocation>(parsed).options;
}

// The complaint about a bad one: exit code 2 and one line.
inline std::string Bad(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  const auto parsed = Parse(arguments, variables);
  const Leave* leave = std::get_if<Leave>(&parsed);
  if (leave == nullptr) return "it was accepted";
  EXPECT_EQ(leave->code, 2);
  EXPECT_EQ(leave->text.find('\n'), std::string::npos) << leave->text;
  return leave->text;
}

}  // namespace postcall::cli
