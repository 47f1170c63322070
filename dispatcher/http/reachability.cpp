#include "dispatcher/http/reachability.h"

#include <sys/socket.h>

#include <boost/asio/ip/udp.hpp>
#include <utility>

#include "common/handle.h"

namespace postcall::http {
namespace {

using boost::asio::ip::address;

}  // namespace

Reachability::Reachability(SourceAddresses sources) : sources_(std::move(sources)) {
  had_route_[0] = HasRoute(false);
  had_route_[1] = HasRoute(true);
}

// Addresses for documentation (RFC 5737, RFC 3849): the route to them is the route to the internet.
bool Reachability::HasRoute(bool v6) const {
  return HasRouteTo(boost::asio::ip::make_address(v6 ? "2001:db8::1" : "192.0.2.1"));
}

// Connecting a UDP socket sends nothing.
bool Reachability::HasRouteTo(const address& to) const {
  if (!sources_.Reach(to)) return false;
  const boost::asio::ip::udp::endpoint there(to, 9);
  const FileDescriptor probe(::socket(there.protocol().family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return sources_.Bind(probe.get(), to) == 0 &&
         ::connect(probe.get(), there.data(), static_cast<socklen_t>(there.size())) == 0;
}

void Reachability::NoteConnected(const address& peer, SteadyTime now) {
  if (!peer.is_loopback()) had_route_[peer.is_v6() ? 1 : 0].store(true, std::memory_order_relaxed);
  NoteAnswer(now);
}

void Reachability::NoteNameServer(const std::string& host, bool has_addresses, SteadyTime now) {
  name_server_at_.store(now, std::memory_order_relaxed);
  if (!has_addresses) return;
  const MutexLock lock(mutex_);
  known_name_ = host;
}

std::string Reachability::known_name() const {
  const MutexLock lock(mutex_);
  return known_name_;
}

void Reachability::ForgetKnownName() {
  const MutexLock lock(mutex_);
  known_name_.clear();
}

bool Reachability::MissesRoute(const address& address) const {
  return had_route_[address.is_v6() ? 1 : 0].load(std::memory_order_relaxed) || !HasRoute(address.is_v4());
}

}  // namespace postcall::http
