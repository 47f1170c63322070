// Runs the command that the command line names, and returns its exit code. Main thread.
#pragma once

#include "dispatcher/cli/exit_code.h"

namespace postcall::cli {

ExitCode Main(int argc, char** argv);

}  // namespace postcall::cli
