#include "dispatcher/cli/cli.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
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

std::optional<std::string> FromProcess(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

int RunIt(const Invocation& invocation) {
  switch (invocation.command) {
    case Command::kMigrate:
      return MigrateCommand(invocation.options);
    case Command::kRun:
      return RunCommand(invocation.options);
  }
  return kFailed;
}

// What opens a descriptor later must not get one of the three that the log and others write to.
void OpenStandardDescriptors() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

// Ends the log. Whoever does not read it has no say in when the process ends.
int Leaving(int code) {
  if (!log::Close(std::chrono::milliseconds(500))) std::_Exit(code);
  return code;
}

}  // namespace

int Main(int argc, char** argv) {
  OpenStandardDescriptors();
  const auto parsed = ParseCommandLine(std::vector<std::string>(argv + 1, argv + argc), FromProcess);
  if (const Leave* leave = std::get_if<Leave>(&parsed)) {
    (leave->code == 0 ? std::cout : std::cerr << "postcall-dispatcher: ")
        << leave->text << (leave->text.ends_with('\n') ? "" : "\n") << std::flush;
    return leave->code;
  }
  const Invocation& invocation = std::get<Invocation>(parsed);
  log::Configure(invocation.options.log_level, invocation.options.log_format);
  try {
    return Leaving(RunIt(invocation));
  } catch (const std::exception& error) {
    log::Error("the command failed", {{"error", error.what()}});
    return Leaving(kFailed);
  }
}

}  // namespace postcall::cli
