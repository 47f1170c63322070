// Reads the TOML file of --config: keys with strings, numbers, booleans and arrays of them, no tables. Main
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace postcall::cli {

struct ConfigEntry {
  std::string key;
  // Has one element unless `array`. A number is written without underscores, a whole number in decimal.
  std::vector<std::string> values;
  bool array = false;
  int line = 0;
};

// The entries in the order of the file. The error names the line and what to do. It never quotes a value,
// which may be a password.
Result<std::vector<ConfigEntry>> ParseConfig(std::string_view toml);

}  // namespace postcall::cli
