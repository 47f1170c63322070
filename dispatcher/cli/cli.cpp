#include "dispatcher/cli/cli.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/log.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/options.h"

namespace postcall::cli {
namespace {

constexpr int kFailed = 1;

int RunIt(const Invocation& invocation) {
  switch (invocation.command) {
    case Command::kMigrate:
      return MigrateCommand(invocation.options);
    case Command::kRun:
      return RunCommand(invocation.options);
  }
  return kFailed;
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

// Ends the log and returns the exit code. When the log is not read, it ends the process itself.
int EndLog(int code) {
  if (!log::Close(std::chrono::milliseconds(500))) std::_Exit(code);
  return code;
}

}  // namespace

int Main(int argc, char** argv) {
  OpenStandardDescriptors();
  const auto parsed =
      ParseCommandLine(std::vector<std::string>(argv + 1, argv + argc), EnvironmentOfProcess());
  if (const Leave* leave = std::get_if<Leave>(&parsed)) {
    (leave->code == 0 ? std::cout : std::cerr << "postcall-dispatcher: ")
        << leave->text << (leave->text.ends_with('\n') ? "" : "\n") << std::flush;
    return leave->code;
  }
  const Invocation& invocation = std::get<Invocation>(parsed);
  log::Configure(invocation.options.log_level, invocation.options.log_format);
  try {
    return EndLog(RunIt(invocation));
  } catch (const std::exception& error) {
    log::Error("the command failed", {{"error", error.what()}});
    return EndLog(kFailed);
  }
}

}  // namespace postcall::cli
