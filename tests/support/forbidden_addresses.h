// Addresses that no delivery may reach by default (CONTRACT §6), taken from the registries and not from our
// own table of them. Pure; any thread.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace postcall::test {

// The first, the last and one inner address of each range, and IPv4 addresses inside IPv6 in each spelling of
// that; none twice.
std::vector<boost::asio::ip::address> ForbiddenAddresses();

// Whether the system itself lets a connection begin there: none begins to a group, to all, or to a link that
// is not named.
bool CanBeConnectedTo(const boost::asio::ip::address& address);

// "http://[::1]:8080/"
std::string UrlOf(const boost::asio::ip::address& address, std::uint16_t port);

}  // namespace postcall::test
