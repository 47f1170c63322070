#include "dispatcher/egress/special_ranges.h"

#include <vector>

namespace postcall::egress {
namespace {

using boost::asio::ip::address;
using boost::asio::ip::make_address;

// A range inside another one is listed before it, so that the first match is the narrowest.
const std::vector<SpecialRange>& Ipv4Ranges() {
  static const auto* const ranges = new std::vector<SpecialRange>{
      {{make_address("0.0.0.0"), 8}, "\"this\" network"},
      {{make_address("10.0.0.0"), 8}, "private network"},
      {{make_address("100.64.0.0"), 10}, "shared address space of carriers (CGNAT)"},
      {{make_address("127.0.0.0"), 8}, "loopback"},
      // An address of Azure's own services. It is in public space, but it answers only inside Azure's
      // network.
      {{make_address("168.63.129.16"), 32}, "platform services of Azure"},
      {{make_address("169.254.0.0"), 16}, "link-local, metadata services included"},
      {{make_address("172.16.0.0"), 12}, "private network"},
      {{make_address("192.0.0.0"), 24}, "IETF protocol assignments"},
      {{make_address("192.0.2.0"), 24}, "documentation"},
      {{make_address("192.31.196.0"), 24}, "AS112 name servers"},
      {{make_address("192.52.193.0"), 24}, "AMT relays"},
      {{make_address("192.88.99.0"), 24}, "6to4 relays"},
      {{make_address("192.168.0.0"), 16}, "private network"},
      {{make_address("192.175.48.0"), 24}, "AS112 name servers"},
      {{make_address("198.18.0.0"), 15}, "benchmarking"},
      {{make_address("198.51.100.0"), 24}, "documentation"},
      {{make_address("203.0.113.0"), 24}, "documentation"},
      {{make_address("224.0.0.0"), 4}, "multicast"},
      {{make_address("255.255.255.255"), 32}, "broadcast"},
      {{make_address("240.0.0.0"), 4}, "reserved"},
  };
  return *ranges;
}

const std::vector<SpecialRange>& Ipv6Ranges() {
  static const auto* const ranges = new std::vector<SpecialRange>{
      // Special parts of 2000::/3.
      {{make_address("2001::"), 32}, "Teredo"},
      {{make_address("2001:1::1"), 128}, "Port Control Protocol anycast"},
      {{make_address("2001:1::2"), 128}, "TURN anycast"},
      {{make_address("2001:1::3"), 128}, "DNS-SD registration anycast"},
      {{make_address("2001:2::"), 48}, "benchmarking"},
      {{make_address("2001:3::"), 32}, "AMT relays"},
      {{make_address("2001:4:112::"), 48}, "AS112 name servers"},
      {{make_address("2001:10::"), 28}, "ORCHID"},
      {{make_address("2001:20::"), 28}, "ORCHIDv2"},
      {{make_address("2001:30::"), 28}, "drone remote identification"},
      {{make_address("2001::"), 23}, "IETF protocol assignments"},
      {{make_address("2001:db8::"), 32}, "documentation"},
      {{make_address("2002::"), 16}, "6to4"},
      {{make_address("2620:4f:8000::"), 48}, "AS112 name servers"},
      {{make_address("3fff::"), 20}, "documentation"},
      // Outside 2000::/3 everything is closed except NAT64; these entries only give the operator a name.
      {{make_address("::"), 128}, "unspecified"},
      {{make_address("::1"), 128}, "loopback"},
      {{make_address("::ffff:0:0"), 96}, "IPv4-mapped"},
      {{make_address("::ffff:0:0:0"), 96}, "IPv4-translated"},
      {{make_address("::"), 96}, "IPv4-compatible"},
      {{make_address("64:ff9b:1::"), 48}, "local NAT64"},
      {{make_address("100::"), 64}, "discard"},
      {{make_address("100:0:0:1::"), 64}, "dummy prefix"},
      {{make_address("5f00::"), 16}, "segment routing identifiers"},
      {{make_address("fc00::"), 7}, "unique local, metadata services included"},
      {{make_address("fe80::"), 10}, "link-local"},
      {{make_address("fec0::"), 10}, "site-local"},
      {{make_address("ff00::"), 8}, "multicast"},
  };
  return *ranges;
}

}  // namespace

const SpecialRange* FindSpecialRange(const address& address) {
  for (const SpecialRange& special : address.is_v4() ? Ipv4Ranges() : Ipv6Ranges()) {
    if (special.range.Contains(address)) return &special;
  }
  if (address.is_v4()) return nullptr;
  static const Cidr global_unicast(make_address("2000::"), 3);
  static const Cidr nat64(make_address("64:ff9b::"), 96);
  static const SpecialRange elsewhere{{make_address("::"), 0},
                                      "outside 2000::/3, the global unicast addresses"};
  return global_unicast.Contains(address) || nat64.Contains(address) ? nullptr : &elsewhere;
}

}  // namespace postcall::egress
