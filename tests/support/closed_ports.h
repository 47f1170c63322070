// Ports to which no connection can be made, in different ways. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/handle.h"

namespace postcall::test {

// A port that neither accepts nor refuses connections: its queue is full, so a connect hangs.
class FullBacklog {
 public:
  explicit FullBacklog(const std::string& address = "127.0.0.1");
  std::uint16_t port() const { return port_; }

  // Waits until this many connects hang here; false when 20 s pass first. Linux only.
  bool WaitForHanging(int count) const;
  // Empties the queue. A connect that hangs is made then, when the kernel sends its next SYN; no one answers
  // it.
  void Empty();

 private:
  std::uint16_t port_ = 0;
  FileDescriptor listener_;
  std::vector<FileDescriptor> waiting_;
};

// A port that refuses connections, and that no other process can use in the meantime.
class RefusingPort {
 public:
  explicit RefusingPort(const std::string& address = "127.0.0.1");
  std::uint16_t port() const { return port_; }

 private:
  std::uint16_t port_ = 0;
  FileDescriptor bound_;
};

}  // namespace postcall::test
