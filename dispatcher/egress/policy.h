// Egress policy: which addresses the dispatcher may connect to (CONTRACT §6). Pure; any thread, because it
// never changes. Ask it about the address that is really connected to, never about the text of a host.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <string>
#include <vector>

#include "dispatcher/egress/cidr.h"

namespace postcall::egress {

// Deny beats allow, and allow beats the default. The default allows only publicly routable addresses: IPv4
// without the special ranges; 2000::/3 without its special parts; and 64:ff9b::/96, where a network with
// DNS64 has every IPv4 address.
//
// IPv4 inside IPv6 (mapped, compatible, translated, NAT64, 6to4, Teredo) is checked twice: as an IPv6 address
// and as the IPv4 address inside it. Both checks must pass.
// - A denied IPv4 range denies all its spellings.
// - An allowed IPv4 range also allows the mapped spelling (::ffff:a.b.c.d) and the NAT64 spelling
//   (64:ff9b::a.b.c.d), and no other spelling.
// - An allowed IPv6 range that ends before the IPv4 part passes only the first check. So allowing a network's
//   own translator 64:ff9b:1:ffff::/96 does not open 64:ff9b:1:ffff::169.254.169.254.
// - An allowed IPv6 range that reaches into the IPv4 part, such as 64:ff9b::10.0.0.0/104, passes both checks.
class Policy {
 public:
  Policy() = default;
  Policy(std::vector<Cidr> allowed, std::vector<Cidr> denied);

  bool Allows(const boost::asio::ip::address& address) const;

  // One sentence for the operator that names the address and the range that decided. Never put it into the
  // delivery log, which must not show internal addresses (CONTRACT §4).
  std::string Explain(const boost::asio::ip::address& address) const;

 private:
  struct Verdict;
  Verdict Judge(const boost::asio::ip::address& address) const;

  std::vector<Cidr> allowed_;
  std::vector<Cidr> denied_;
};

}  // namespace postcall::egress
