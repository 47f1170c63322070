#include "dispatcher/http/source_addresses.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <system_error>

#include "common/handle.h"

namespace postcall::http {
namespace {

using boost::asio::ip::address;

// 0, or the errno.
int BindTo(const address& source, int socket) {
  // The port is chosen when the socket connects. So it needs to be free only for that endpoint, and one
  // source address serves more connections than there are ports.
  const int later = 1;
  static_cast<void>(::setsockopt(socket, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &later, sizeof(later)));
  const boost::asio::ip::tcp::endpoint here(source, 0);
  return ::bind(socket, here.data(), static_cast<socklen_t>(here.size())) == 0 ? 0 : errno;
}

bool CanBeAnswered(const address& source) {
  if (source.is_unspecified() || source.is_multicast()) return false;
  return source.is_v4() || (!source.to_v6().is_link_local() && !source.to_v6().is_v4_mapped());
}

}  // namespace

SourceAddresses::SourceAddresses(const std::vector<address>& addresses) {
  for (const address& source : addresses) sources_[source.is_v6() ? 1 : 0] = source;
}

std::optional<std::string> SourceAddresses::FaultOf(const address& source) {
  const std::string text = source.to_string();
  if (!CanBeAnswered(source)) return text + " is no address that an endpoint can answer to";
  const FileDescriptor socket(::socket(source.is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int error = socket ? BindTo(source, socket.get()) : errno;
  if (error == 0) return std::nullopt;
  if (error == EADDRNOTAVAIL) return "this machine does not have the address " + text;
  return text + ": " + std::generic_category().message(error);
}

bool SourceAddresses::Reach(const address& to) const { return For(to) || (!sources_[0] && !sources_[1]); }

int SourceAddresses::Bind(int socket, const address& to) const {
  const Source& source = For(to);
  const int error = source ? BindTo(*source, socket) : 0;
  switch (error) {
    case EADDRNOTAVAIL:
      return ENETUNREACH;
    case EADDRINUSE:
      return EADDRNOTAVAIL;
    default:
      return error;
  }
}

}  // namespace postcall::http
