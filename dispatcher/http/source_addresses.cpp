#include "dispatcher/http/source_addresses.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <cerrno>

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

// Connections there are made over IPv4.
bool IsMapped(const address& to) { return to.is_v6() && to.to_v6().is_v4_mapped(); }

}  // namespace

SourceAddresses::SourceAddresses(const std::vector<address>& addresses) {
  for (const address& source : addresses) sources_[source.is_v6() ? 1 : 0] = source;
}

bool SourceAddresses::CanBeAnswered(const address& source) {
  if (source.is_unspecified() || source.is_multicast()) return false;
  if (source.is_v4()) return source.to_v4() != boost::asio::ip::address_v4::broadcast();
  return !source.to_v6().is_link_local() && !IsMapped(source);
}

std::vector<std::string> SourceAddresses::Missing() const {
  std::vector<std::string> missing;
  for (const Source& source : sources_) {
    if (!source) continue;
    const FileDescriptor socket(
        ::socket(source->is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket && BindTo(*source, socket.get()) == EADDRNOTAVAIL) missing.push_back(source->to_string());
  }
  return missing;
}

const SourceAddresses::Source& SourceAddresses::For(const address& to) const {
  return sources_[to.is_v6() && !IsMapped(to) ? 1 : 0];
}

bool SourceAddresses::Reach(const address& to) const { return For(to) || (!sources_[0] && !sources_[1]); }

int SourceAddresses::Bind(int socket, const address& to) const {
  const Source& source = For(to);
  if (!source) return 0;
  const int error =
      BindTo(IsMapped(to) ? make_address_v6(boost::asio::ip::v4_mapped, source->to_v4()) : *source, socket);
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
