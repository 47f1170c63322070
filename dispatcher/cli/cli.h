// Runs the command that the command line names, and returns its exit code. Main thread.
#pragma once

namespace postcall::cli {

// Exit codes as in CONTRACT §5: 0 done, 1 failed, 2 bad usage or configuration.
int Main(int argc, char** argv);

}  // namespace postcall::cli
