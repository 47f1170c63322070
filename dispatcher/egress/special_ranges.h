// The address ranges that are not publicly routable: the IANA special-purpose registries for IPv4 and IPv6,
// multicast, reserved space, and the anycast ranges of tunnels and AS112 (CONTRACT §6). Pure; any thread.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string_view>

#include "dispatcher/egress/cidr.h"

namespace postcall::egress {

struct SpecialRange {
  Cidr range;
  std::string_view name;
};

// The narrowest special range that contains `address`; nullptr when the address is publicly routable. An IPv4
// address inside an IPv6 address is not looked at.
const SpecialRange* FindSpecialRange(const boost::asio::ip::address& address);

}  // namespace postcall::egress
