#include "dispatcher/admin/listen_address.h"

#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <system_error>

namespace postcall::admin {
namespace {

Error NotAnAddress(std::string_view what) {
  return Error{std::string(what) + "; give host:port, such as 127.0.0.1:9464, 0.0.0.0:9464 or [::1]:9464"};
}

bool IsIpv6(const std::string& host) {
  boost::system::error_code error;
  return boost::asio::ip::make_address_v6(host, error), !error;
}

bool IsName(std::string_view host) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  return !host.empty() && host.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

Result<ListenAddress> ParseListenAddress(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return NotAnAddress("it has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);

  ListenAddress address;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc{} || end != port.data() + port.size()) {
    return NotAnAddress("the port is not a number from 0 to 65535");
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (!IsIpv6(std::string(host))) return NotAnAddress("the text in brackets is not an IPv6 address");
  } else if (host.find(':') != std::string_view::npos) {
    return NotAnAddress("an IPv6 address needs brackets");
  } else if (!IsName(host)) {
    return NotAnAddress("it has no host");
  }
  address.host = host;
  return address;
}

std::string ToString(const ListenAddress& address) {
  const bool brackets = address.host.find(':') != std::string::npos;
  return (brackets ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace postcall::admin
