// A network of the test's own, with no other in it but this process and what it starts from then on. In it
// every address is this machine's: a connection to any address of the internet, of a private network or of a
// cloud's metadata service finds its way and meets whatever socket the test has listening there. So a
// connection that must not be made could be made, and the kernel would count it. For the main thread.
#pragma once

#include <cstdint>
#include <optional>

#include "common/result.h"

namespace postcall::test {

class PrivateNetwork {
 public:
  // Enters it, for good; a second time does nothing. To be called before anything is started, a thread or a
  // server, since what was started before stays outside. Why it cannot be had, where it cannot: it needs
  // root.
  static std::optional<Error> Enter();

  // TCP connections that were begun in it, by a SYN, since it was made: the kernel's own count (ActiveOpens
  // of RFC 1213).
  static std::uint64_t ConnectionsBegun();

  // The only local ports that connections without a port of their own may have.
  static void LimitLocalPorts(std::uint16_t first, std::uint16_t last);
};

}  // namespace postcall::test
