#include "tests/unit/cli/scratch_file.h"

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "common/handle.h"

namespace postcall::cli {

ScratchFile::ScratchFile(std::string_view text) {
  const char* directory = std::getenv("TMPDIR");
  path_ = std::string(directory == nullptr ? "/tmp" : directory) + "/postcall-cli-XXXXXX";
  const FileDescriptor file(::mkstemp(path_.data()));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw std::runtime_error("cannot write " + path_);
  }
}

ScratchFile::~ScratchFile() { ::unlink(path_.c_str()); }

}  // namespace postcall::cli
