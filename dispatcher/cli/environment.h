// The environment variables that begin with POSTCALL_: which of them are settings, and which ones Kubernetes
// made (CONTRACT §5). Main thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace postcall::cli {

// The values of the variables that begin with POSTCALL_, by name. An empty variable counts as not set.
using Environment = std::map<std::string, std::string, std::less<>>;

Environment EnvironmentOfProcess();

// No value when the variable is not set, or empty.
std::optional<std::string> ValueOf(const Environment& environment, std::string_view variable);

// One line about the first variable that no command knows, with the nearest known name. The line does not
// have the variable's value, which may be a secret. No value when all variables are known or made by
// Kubernetes.
std::optional<std::string> FaultOfVariables(const Environment& environment);

}  // namespace postcall::cli
