#include "tests/support/private_network.h"

#include <sched.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace postcall::test {

std::optional<Error> PrivateNetwork::Enter() {
  static bool entered = false;
  if (entered) return std::nullopt;
  if (::unshare(CLONE_NEWNET) != 0) {
    return Error{std::string("needs a network namespace of its own: ") + std::strerror(errno)};
  }
  // A "local" route makes the addresses this machine's own, so no other interface is needed. The broadcast
  // address of 127.0.0.0/8 becomes an ordinary address, and endpoints may have an IPv6 address.
  if (std::system("ip link set lo up && ip -4 route del broadcast 127.255.255.255 table local &&"
                  " ip -4 route add local default dev lo && ip -6 route add local default dev lo &&"
                  " echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind") != 0) {
    return Error{"needs the command ip of iproute2, and IPv6 must not be switched off"};
  }
  entered = true;
  return std::nullopt;
}

std::uint64_t PrivateNetwork::ConnectionsBegun() {
  // Two lines begin with "Tcp:", one has names and one has numbers.
  std::ifstream counters("/proc/self/net/snmp");
  std::string names;
  for (std::string line; std::getline(counters, line);) {
    if (!line.starts_with("Tcp:")) continue;
    if (names.empty()) {
      names = line;
      continue;
    }
    std::istringstream name_words(names);
    std::istringstream number_words(line);
    for (std::string name, number; name_words >> name && number_words >> number;) {
      if (name == "ActiveOpens") return std::stoull(number);
    }
  }
  throw std::runtime_error("the kernel does not count connections");
}

void PrivateNetwork::LimitLocalPorts(std::uint16_t first, std::uint16_t last) {
  std::ofstream range("/proc/sys/net/ipv4/ip_local_port_range");
  range << first << ' ' << last << std::flush;
  if (!range) throw std::runtime_error("the range of local ports cannot be set");
}

}  // namespace postcall::test
