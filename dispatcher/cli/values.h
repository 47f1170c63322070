// Reads the values of options from text and checks their ranges. Each error is the end of a sentence that
// begins with the option's name. Any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/result.h"

namespace postcall::cli {

// "must be a whole number from 1 to 10000"
Result<std::int64_t> ParseWhole(std::string_view text, std::int64_t least, std::int64_t most);

// "must be a number from 0 to 1"
Result<double> ParseShare(std::string_view text);

// Bytes: "4096", "64KiB", "512 MiB", "2GiB". "must be a size from 1 MiB to 1 TiB, such as 4096, 64KiB, 512MiB
// or 2GiB"
Result<std::int64_t> ParseBytes(std::string_view text, std::int64_t least, std::int64_t most);

// Reads true, yes, on, 1, and their opposites.
Result<bool> ParseSwitch(std::string_view text);

}  // namespace postcall::cli
