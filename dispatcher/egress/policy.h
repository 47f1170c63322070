// Egress policy: which addresses the dispatcher may connect to (CONTRACT §6). Pure; any thread, as it never
// changes once made. Ask it about the address that is really connected to, never about a host's text.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string>
#include <vector>

#include "dispatcher/egress/cidr.h"

namespace postcall::egress {

// Deny beats allow beats the default. The default admits only what is publicly routable: IPv4 less the
// special ranges, and of IPv6 only 2000::/3 less its special parts.
//
// IPv4 inside IPv6 (mapped, compatible, translated, NAT64, 6to4, Teredo) must pass twice, as the IPv6 address
// that it is and as the IPv4 address within:
// - a denied IPv4 range denies each of its spellings;
// - an allowed IPv4 range also allows the mapped spelling (::ffff:a.b.c.d), and no other;
// - an allowed IPv6 range that ends before the IPv4 part lifts the first judgement only, so that allowing
//   64:ff9b::/96 on a network with NAT64 does not open 64:ff9b::169.254.169.254. One that reaches into the
//   IPv4 part, as 64:ff9b::10.0.0.0/104, names those addresses outright and lifts both.
class Policy {
 public:
  Policy() = default;
  Policy(std::vector<Cidr> allowed, std::vector<Cidr> denied);

  bool Allows(const boost::asio::ip::address& address) const;

  // One sentence for the operator that names the address and the range that decided. Not for the delivery
  // log, which must not show internal addresses (CONTRACT §4).
  std::string Explain(const boost::asio::ip::address& address) const;

 private:
  struct Verdict;
  Verdict Judge(const boost::asio::ip::address& address) const;

  std::vector<Cidr> allowed_;
  std::vector<Cidr> denied_;
};

}  // namespace postcall::egress
