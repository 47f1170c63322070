#include "dispatcher/egress/embedded_ipv4.h"

#include <cstddef>

#include "dispatcher/egress/cidr.h"

namespace postcall::egress {
namespace {

using boost::asio::ip::address_v4;
using boost::asio::ip::address_v6;
using boost::asio::ip::make_address_v6;

const Cidr kCompatible(make_address_v6("::"), 96);            // RFC 4291, deprecated
const Cidr kMapped(make_address_v6("::ffff:0:0"), 96);        // RFC 4291
const Cidr kTranslated(make_address_v6("::ffff:0:0:0"), 96);  // RFC 2765
const Cidr kNat64(make_address_v6("64:ff9b::"), 96);          // RFC 6052
const Cidr kLocalNat64(make_address_v6("64:ff9b:1::"), 48);   // RFC 8215
const Cidr k6to4(make_address_v6("2002::"), 16);              // RFC 3056
const Cidr kTeredo(make_address_v6("2001::"), 32);            // RFC 4380

EmbeddedIpv4 At(const address_v6::bytes_type& bytes, std::size_t a, std::size_t b, std::size_t c,
                std::size_t d, bool is_same_host = false) {
  return {address_v4({bytes[a], bytes[b], bytes[c], bytes[d]}), static_cast<unsigned>(a * 8), is_same_host};
}

}  // namespace

std::vector<EmbeddedIpv4> EmbeddedIn(const address_v6& address) {
  const auto bytes = address.to_bytes();
  if (kMapped.Contains(address) || kNat64.Contains(address)) return {At(bytes, 12, 13, 14, 15, true)};
  if (kTranslated.Contains(address)) return {At(bytes, 12, 13, 14, 15)};
  if (kCompatible.Contains(address)) {
    if (address.is_unspecified() || address.is_loopback()) return {};  // these contain no IPv4 address
    return {At(bytes, 12, 13, 14, 15)};
  }
  if (kLocalNat64.Contains(address)) {
    // Prefixes of 48, 56, 64 and 96 bits; byte 8 is never part of the IPv4 address (RFC 6052 §2.2).
    return {At(bytes, 6, 7, 9, 10), At(bytes, 7, 9, 10, 11), At(bytes, 9, 10, 11, 12),
            At(bytes, 12, 13, 14, 15)};
  }
  if (k6to4.Contains(address)) return {At(bytes, 2, 3, 4, 5)};
  if (kTeredo.Contains(address)) {
    EmbeddedIpv4 client = At(bytes, 12, 13, 14, 15);
    client.address = address_v4(~client.address.to_uint());  // obfuscated, RFC 4380 §4
    return {At(bytes, 4, 5, 6, 7), client};
  }
  return {};
}

}  // namespace postcall::egress
