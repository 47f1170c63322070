// Ports that give no connection, each in its way. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/handle.h"

namespace postcall::test {

// A port that takes no connection and refuses none: its queue is full, so a connect hangs.
class FullBacklog {
 public:
  explicit FullBacklog(const std::string& address = "127.0.0.1");
  std::uint16_t port() const { return port_; }

 private:
  std::uint16_t port_ = 0;
  FileDescriptor listener_;
  std::vector<FileDescriptor> waiting_;
};

// A port that refuses connections, and that nobody else can take meanwhile.
class RefusingPort {
 public:
  explicit RefusingPort(const std::string& address = "127.0.0.1");
  std::uint16_t port() const { return port_; }

 private:
  std::uint16_t port_ = 0;
  FileDescriptor bound_;
};

}  // namespace postcall::test
