// Reads a small file that a setting names. Any thread; blocks.
#pragma once

#include <string>

#include "common/result.h"

namespace postcall::cli {

// The whole file; an error when it is larger than 16 MiB. The error is the system's reason, such as "No such
// file or directory".
Result<std::string> ReadFile(const std::string& path);

}  // namespace postcall::cli
