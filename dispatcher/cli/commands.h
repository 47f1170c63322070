// The program's commands, one file each (CONTRACT §5). Main thread. Each returns the process's exit code: 0
// done, 1 failed, 2 bad configuration; standard error says why.
#pragma once

#include "dispatcher/cli/options.h"

namespace postcall::cli {

int MigrateCommand(const Options& options);
int RunCommand(const Options& options);

}  // namespace postcall::cli
