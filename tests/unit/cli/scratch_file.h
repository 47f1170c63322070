// A file with the given text; its destructor removes it. One thread.
#pragma once

#include <string>
#include <string_view>

namespace postcall::cli {

class ScratchFile {
 public:
  explicit ScratchFile(std::string_view text);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace postcall::cli
