// Every setting of CONTRACT §5: its name, the commands that take it, and how its text becomes a value. There
// is one table, so that flag, environment variable and file cannot differ. Main thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dispatcher/cli/options.h"

namespace postcall::cli {

struct Setting {
  enum class Kind {
    kValue,
    kSecret,      // a value that is never printed
    kRepeatable,  // several values: an array in the file, commas in the environment
    kSwitch,      // needs no value on the command line
  };

  std::string_view name;   // without dashes in front; also the key in the file
  std::string_view value;  // the name of the value in the help
  std::string_view help;
  Kind kind;
  std::vector<Command> commands;
  bool only_flag = false;  // neither in the environment nor in the file

  // Sets the option. `values` has one element unless the setting is repeatable. On failure it returns what is
  // wrong and what to do, as the end of a sentence: "must be …".
  std::optional<std::string> (*apply)(Options& options, const std::vector<std::string>& values);
};

std::span<const Setting> Settings();

// The beginning of every variable's name.
inline constexpr std::string_view kVariablePrefix = "POSTCALL_";

// The variable of a setting: POSTCALL_MAX_IN_FLIGHT for max-in-flight.
std::string VariableOf(std::string_view name);

}  // namespace postcall::cli
