// A range of IP addresses in CIDR notation, IPv4 or IPv6. Any thread; a value type.
#pragma once

#include <array>
#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace postcall::egress {

class Cidr {
 public:
  // The first `length` bits of `network`; its other bits are ignored.
  Cidr(const boost::asio::ip::address& network, unsigned length);

  // False for an address of the other family, also for IPv4 inside IPv6.
  bool Contains(const boost::asio::ip::address& address) const;

  bool is_v4() const { return is_v4_; }
  unsigned length() const { return length_; }
  std::string ToString() const;

  friend bool operator==(const Cidr&, const Cidr&) = default;

 private:
  std::array<std::uint8_t, 16> network_{};  // IPv4 in the first four bytes
  unsigned length_;
  bool is_v4_;
};

// Reads "10.0.0.0/8", "2001:db8::/32", or one address, which is the range of that address alone. The error is
// one sentence that says what to write instead. Bits beyond the length, a zone id and IPv4 written as
// ::ffff:… are refused, because the operator may have meant another range.
Result<Cidr> ParseCidr(std::string_view text);

}  // namespace postcall::egress
