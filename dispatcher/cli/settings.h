// Every setting of CONTRACT §5: its name, which commands take it, and how its text becomes a value. One
// table, so that flag, environment variable and file cannot differ. Main thread.
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
    kRepeatable,  // several: an array in the file, commas in the environment
    kSwitch,      // needs no value on the command line
  };

  std::string_view name;   // without dashes: also the key of the file
  std::string_view value;  // what the help calls the value
  std::string_view help;
  Kind kind;
  std::vector<Command> commands;
  bool only_flag = false;  // neither in the environment nor in the file

  // Sets it. `values` is one unless the setting is repeatable. Otherwise what is wrong and the mend, as the
  // predicate of a sentence: "must be …".
  std::optional<std::string> (*apply)(Options& options, const std::vector<std::string>& values);
};

std::span<const Setting> Settings();

// POSTCALL_MAX_IN_FLIGHT of max-in-flight.
std::string VariableOf(std::string_view name);

}  // namespace postcall::cli
