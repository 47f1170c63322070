// The local addresses that connections come from (CONTRACT §5, --source-address), for customers whose
// firewalls admit only known addresses. Any thread.
#pragma once

#include <array>
#include <boost/asio/ip/address.hpp>
#include <optional>
#include <string>
#include <vector>

namespace postcall::http {

class SourceAddresses {
 public:
  // None: the system chooses for each connection.
  SourceAddresses() = default;
  // At most one of each family.
  explicit SourceAddresses(const std::vector<boost::asio::ip::address>& addresses);

  // Whether an endpoint can answer to `address`: it is the address of one machine.
  static bool CanBeAnswered(const boost::asio::ip::address& address);

  // Those that this machine does not have at this moment, as text. Where net.ipv4.ip_nonlocal_bind is set,
  // the system takes any address for its own.
  std::vector<std::string> Missing() const;

  // Whether connections may go to addresses of the family of `to`. With a source address of the other family
  // only, they may not, because they would come from an address that the customer does not know.
  bool Reach(const boost::asio::ip::address& to) const;

  // Gives a new socket the source address for connections to `to`. 0, or an errno: ENETUNREACH when this
  // machine does not have the source address any more, EADDRNOTAVAIL when the address has no free port.
  int Bind(int socket, const boost::asio::ip::address& to) const;

 private:
  using Source = std::optional<boost::asio::ip::address>;
  const Source& For(const boost::asio::ip::address& to) const;

  std::array<Source, 2> sources_;  // IPv4, IPv6
};

}  // namespace postcall::http
