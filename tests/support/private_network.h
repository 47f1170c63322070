// A network namespace for one test: only this process and the processes that it starts later are in it. In it
// every address belongs to this machine: a connection to any address of the internet, of a private network or
// of a cloud's metadata service reaches a socket of the test that listens there. So a forbidden connection is
// possible, and the kernel counts it. Main thread.
#pragma once

#include <cstdint>
#include <optional>

#include "common/result.h"

namespace postcall::test {

class PrivateNetwork {
 public:
  // Enters the namespace; the process never leaves it. A second call does nothing. Call it before a thread or
  // a server is started, because they would stay outside. It needs root; the error says why it is not
  // possible.
  static std::optional<Error> Enter();

  // The number of TCP connections that were begun in it, with a SYN: the kernel's own count (ActiveOpens of
  // RFC 1213).
  static std::uint64_t ConnectionsBegun();

  // Sets the range of local ports for connections that do not choose their port.
  static void LimitLocalPorts(std::uint16_t first, std::uint16_t last);
};

}  // namespace postcall::test
