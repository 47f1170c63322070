// Addresses that no delivery may reach by default (CONTRACT §6). They come from the registries and not from
// the program's own table. Pure; any thread.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace postcall::test {

// The first, the last and one inner address of each range, and IPv4 addresses inside IPv6 in each spelling;
// each address once.
std::vector<boost::asio::ip::address> ForbiddenAddresses();

// Whether the system itself allows a connection to this address. It allows none to a multicast or broadcast
// address, or to a link-local address without its link.
bool CanBeConnectedTo(const boost::asio::ip::address& address);

// "http://[::1]:8080/"
std::string UrlOf(const boost::asio::ip::address& address, std::uint16_t port);

}  // namespace postcall::test
