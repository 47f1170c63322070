// The program's commands, one file each (CONTRACT §5). Each says on standard error why it failed. Main
// thread.
#pragma once

#include "dispatcher/cli/exit_code.h"
#include "dispatcher/cli/options.h"

namespace postcall::cli {

ExitCode MigrateCommand(const Options& options);
ExitCode RunCommand(const Options& options);

}  // namespace postcall::cli
