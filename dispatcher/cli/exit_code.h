// The exit codes of every command (CONTRACT §5).
#pragma once

namespace postcall::cli {

enum class ExitCode {
  kDone = 0,
  kFailed = 1,
  kBadUsage = 2,  // the command line or the configuration is bad
};

}  // namespace postcall::cli
