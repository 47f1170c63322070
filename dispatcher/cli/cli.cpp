#include "dispatcher/cli/cli.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

#include "common/log.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/options.h"

namespace postcall::cli {
namespace {

ExitCode RunIt(const Invocation& invocation) {
  switch (invocation.command) {
    case Command::kMigrate:
      return MigrateCommand(invocation.options);
    case Command::kRun:
      return RunCommand(invocation.options);
  }
  return ExitCode::kFailed;
}

// Opens the descriptors 0 to 2 if they are closed. Otherwise a file or socket that is opened later would get
// one of these numbers, and the log would write to it.
void OpenStandardDescriptors() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

// Ends the log. When the log is not read, it ends the process itself.
ExitCode EndLog(ExitCode code) {
  if (!log::Close(std::chrono::milliseconds(500))) std::_Exit(static_cast<int>(code));
  return code;
}

}  // namespace

ExitCode Main(int argc, char** argv) {
  OpenStandardDescriptors();
  const auto parsed =
      ParseCommandLine(std::vector<std::string>(argv + 1, argv + argc), EnvironmentOfProcess());
  if (const Leave* leave = std::get_if<Leave>(&parsed)) {
    (leave->code == ExitCode::kDone ? std::cout : std::cerr << "postcall-dispatcher: ")
        << leave->text << (leave->text.ends_with('\n') ? "" : "\n") << std::flush;
    return leave->code;
  }
  const Invocation& invocation = std::get<Invocation>(parsed);
  log::Configure(invocation.options.log_level, invocation.options.log_format);
  try {
    return EndLog(RunIt(invocation));
  } catch (const std::exception& error) {
    log::Error("the command failed", {{"error", error.what()}});
    return EndLog(ExitCode::kFailed);
  }
}

}  // namespace postcall::cli
