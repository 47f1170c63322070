// What is not publicly routable: the IANA special-purpose registries for IPv4 and IPv6, multicast, reserved
// space and the anycast ranges of tunnels and sinks (CONTRACT §6). Pure; any thread.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string_view>

#include "dispatcher/egress/cidr.h"

namespace postcall::egress {

struct SpecialRange {
  Cidr range;
  std::string_view name;
};

// The narrowest special range that holds `address`, or nullptr when the address is publicly routable. An IPv6
// address is judged as it stands, whatever IPv4 address is within.
const SpecialRange* FindSpecialRange(const boost::asio::ip::address& address);

}  // namespace postcall::egress
