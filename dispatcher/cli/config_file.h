// Reads the TOML file of --config: keys with strings, numbers, booleans and arrays of them, no tables. A
// reader of our own, since CLI11's cuts a quoted value at its first '#', and a password may hold one. Main
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace postcall::cli {

struct ConfigEntry {
  std::string key;
  std::vector<std::string> values;  // one unless `array`; numbers without the underscores that TOML allows
  bool array = false;
  int line = 0;
};

// The error names the line and the mend, and quotes no value. A key that comes twice is an error.
Result<std::vector<ConfigEntry>> ParseConfig(std::string_view toml);

}  // namespace postcall::cli
