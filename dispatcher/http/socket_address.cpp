#include "dispatcher/http/socket_address.h"

#include <netinet/in.h>

#include <cstring>

namespace postcall::http {

using boost::asio::ip::address_v4;
using boost::asio::ip::address_v6;

boost::asio::ip::address AddressOf(const sockaddr& raw) {
  if (raw.sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &raw, sizeof(in));
    return address_v4(ntohl(in.sin_addr.s_addr));
  }
  sockaddr_in6 in{};
  std::memcpy(&in, &raw, sizeof(in));
  address_v6::bytes_type bytes;
  std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
  return address_v6(bytes);
}

}  // namespace postcall::http
