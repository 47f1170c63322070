// The address in a sockaddr of the system, which libcurl and c-ares use. Pure; any thread.
#pragma once

#include <sys/socket.h>

#include <boost/asio/ip/address.hpp>

namespace postcall::http {

// `raw` is a sockaddr_in or a sockaddr_in6.
boost::asio::ip::address AddressOf(const sockaddr& raw);

}  // namespace postcall::http
