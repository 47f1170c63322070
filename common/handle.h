// RAII for C types: std::unique_ptr with the library's own release function. Any thread.
#pragma once

#include <unistd.h>
#include <memory>
#include <utility>

namespace postcall {

template <auto Release>
struct ReleaseWith {
  template <class T>
  void operator()(T* handle) const {
    Release(handle);
  }
};

// Handle<CURL, curl_easy_cleanup>
template <class T, auto Release>
using Handle = std::unique_ptr<T, ReleaseWith<Release>>;

// Owns one file descriptor; its destructor closes it. -1 means none.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~FileDescriptor() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace postcall
