#include "tests/support/own_hosts.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "common/handle.h"

namespace postcall::test {

OwnHosts::OwnHosts(std::string_view text)
    : path_((std::filesystem::temp_directory_path() / "postcall-hosts-XXXXXX").string()) {
  if (!FileDescriptor(::mkstemp(path_.data()))) throw std::runtime_error("cannot make " + path_);
  Write(text);
}

OwnHosts::~OwnHosts() { Remove(); }

void OwnHosts::Write(std::string_view text) const { std::ofstream(path_) << text; }

void OwnHosts::Replace(std::string_view text) const {
  std::ofstream(path_ + ".new") << text;
  std::filesystem::rename(path_ + ".new", path_);
}

void OwnHosts::Remove() const {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

std::string HostsLines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += "10." + std::to_string(i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
            std::to_string(i % 256) + "\thost-" + std::to_string(i) + ".ads.test\n";
  }
  return text;
}

}  // namespace postcall::test
