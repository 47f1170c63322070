// The IPv4 addresses that an IPv6 address contains, in every form that a host, a translator or a relay turns
// back into IPv4. Pure; any thread.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <vector>

namespace postcall::egress {

struct EmbeddedIpv4 {
  boost::asio::ip::address_v4 address;
  unsigned begins_at;  // the first bit of the IPv6 address that belongs to it
  // Only another spelling of the IPv4 address (mapped, well-known NAT64), not a relay or a private
  // translator.
  bool is_same_host;
};

// None, one, two (Teredo: server and client) or four (the local NAT64 range: its layout is not known here, so
// every layout of RFC 6052 counts).
std::vector<EmbeddedIpv4> EmbeddedIn(const boost::asio::ip::address_v6& address);

}  // namespace postcall::egress
