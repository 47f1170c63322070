// Reads a small file that a setting names. Any thread; blocks.
#pragma once

#include <string>

#include "common/result.h"

namespace postcall::cli {

// The whole file, at most 16 MiB of it. The error is the system's reason: "No such file or directory".
Result<std::string> ReadFile(const std::string& path);

}  // namespace postcall::cli
