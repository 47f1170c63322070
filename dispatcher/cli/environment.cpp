#include "dispatcher/cli/environment.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <regex>
#include <vector>

#include "dispatcher/cli/nearest_name.h"
#include "dispatcher/cli/settings.h"

namespace postcall::cli {
namespace {

// A Service named postcall-api gives each container of its namespace POSTCALL_API_SERVICE_HOST,
// POSTCALL_API_SERVICE_PORT[_NAME], POSTCALL_API_PORT=tcp://… and POSTCALL_API_PORT_80_TCP[_PROTO, _PORT,
// _ADDR]. For a name that only ends in _PORT the value decides, because it may be a misspelt setting.
bool IsOfKubernetes(const std::string& name, const std::string& value) {
  static const std::regex kName(
      "POSTCALL(_[A-Z0-9_]+)?_"
      "(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)");
  static const std::regex kPort("(tcp|udp|sctp)://.+:[0-9]+");
  return std::regex_match(name, kName) || (name.ends_with("_PORT") && std::regex_match(value, kPort));
}

bool IsSetting(const std::string& variable) {
  return variable == VariableOf("config") || std::ranges::any_of(Settings(), [&](const Setting& setting) {
           return !setting.only_flag && VariableOf(setting.name) == variable;
         });
}

std::string Unknown(const std::string& variable) {
  std::vector<std::string> names = {"config"};
  for (const Setting& setting : Settings()) {
    if (VariableOf(setting.name) == variable) {
      return "unknown variable " + variable + "; --" + std::string(setting.name) +
             " works only on the command line";
    }
    if (!setting.only_flag) names.emplace_back(setting.name);
  }
  const std::optional<std::string> nearest = NearestName(variable.substr(kVariablePrefix.size()), names);
  return "unknown variable " + variable +
         (nearest ? "; did you mean " + VariableOf(*nearest) + "?"
                  : "; remove it, or see postcall-dispatcher run --help");
}

}  // namespace

Environment EnvironmentOfProcess() {
  Environment environment;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = std::min(text.find('='), text.size());
    if (!text.starts_with(kVariablePrefix) || equals == text.size()) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

std::optional<std::string> ValueOf(const Environment& environment, std::string_view variable) {
  const auto found = environment.find(variable);
  if (found == environment.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

std::optional<std::string> FaultOfVariables(const Environment& environment) {
  for (const auto& [name, value] : environment) {
    if (!IsSetting(name) && !IsOfKubernetes(name, value)) return Unknown(name);
  }
  return std::nullopt;
}

}  // namespace postcall::cli
