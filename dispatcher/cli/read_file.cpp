#include "dispatcher/cli/read_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <system_error>

#include "common/handle.h"

namespace postcall::cli {
namespace {

constexpr std::size_t kLimit = 16 << 20;

Error Reason(int error) { return Error{std::generic_category().message(error)}; }

}  // namespace

Result<std::string> ReadFile(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return Reason(errno);
  std::string text;
  std::array<char, 65536> piece;
  for (;;) {
    const ssize_t count = ::read(file.get(), piece.data(), piece.size());
    if (count == 0) return text;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Reason(errno);
    text.append(piece.data(), static_cast<std::size_t>(count));
    if (text.size() > kLimit) return Error{"it is larger than 16 MiB"};
  }
}

}  // namespace postcall::cli
