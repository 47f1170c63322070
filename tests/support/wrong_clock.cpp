#include "tests/support/wrong_clock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "common/handle.h"

namespace postcall::test {

WrongClock::WrongClock(const std::string& name, std::chrono::seconds wrong_by)
    : file_(std::filesystem::temp_directory_path() / ("clock." + name + "." + std::to_string(::getpid()))) {
  Set(wrong_by);
}

WrongClock::~WrongClock() {
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

std::map<std::string, std::string> WrongClock::Environment() const {
  return {{"LD_PRELOAD", POSTCALL_WRONG_CLOCK}, {"WRONG_CLOCK_FILE", file_.string()}};
}

// It overwrites the file, because the processes have it mapped.
void WrongClock::Set(std::chrono::seconds wrong_by) const {
  const FileDescriptor file(::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const std::int64_t seconds = wrong_by.count();
  if (::pwrite(file.get(), &seconds, sizeof(seconds), 0) != sizeof(seconds)) {
    throw std::system_error(errno, std::generic_category(), file_.string());
  }
}

}  // namespace postcall::test
