// Short forms for tests of the command line. One thread.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <variant>
#include <vector>

#include "dispatcher/cli/options.h"

namespace postcall::cli {

using Variables = Environment;

inline std::variant<Invocation, Leave> Parse(const std::vector<std::string>& arguments,
                                             const Variables& variables = {}) {
  return ParseCommandLine(arguments, variables);
}

// The options of a good command line. When it is bad, it throws an exception with the error.
inline Options Good(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  auto parsed = Parse(arguments, variables);
  if (const Leave* leave = std::get_if<Leave>(&parsed)) throw std::runtime_error(leave->text);
  return std::get<Invocation>(parsed).options;
}

// The error of a bad command line, which must be exit code 2 and one line.
inline std::string Bad(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  const auto parsed = Parse(arguments, variables);
  const Leave* leave = std::get_if<Leave>(&parsed);
  if (leave == nullptr) return "it was accepted";
  EXPECT_EQ(leave->code, ExitCode::kBadUsage);
  EXPECT_EQ(leave->text.find('\n'), std::string::npos) << leave->text;
  return leave->text;
}

}  // namespace postcall::cli
