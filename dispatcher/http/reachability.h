// What the engines of all network threads saw of this machine's own network: when another machine last
// answered, and which address families the machine has. It tells our own failure from the endpoint's
// (CONTRACT §2, "Our own network down"). Any thread.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/ip/address.hpp>
#include <string>

#include "common/clock.h"
#include "common/mutex.h"
#include "dispatcher/http/source_addresses.h"

namespace postcall::http {

class Reachability {
 public:
  // Asks the system which families have a route at this moment, from the source addresses.
  explicit Reachability(SourceAddresses sources = {});

  const SourceAddresses& sources() const { return sources_; }

  // Another machine answered: a connection was made or refused, or bytes came.
  void NoteAnswer(SteadyTime now) { answered_at_.store(now, std::memory_order_relaxed); }
  void NoteConnected(const boost::asio::ip::address& peer, SteadyTime now);
  // A name server answered with the addresses of `host`, or that it has none.
  void NoteNameServer(const std::string& host, bool has_addresses, SteadyTime now);

  // When that last happened; SteadyTime{} when it never did.
  SteadyTime answered_at() const { return answered_at_.load(std::memory_order_relaxed); }
  SteadyTime name_server_answered_at() const { return name_server_at_.load(std::memory_order_relaxed); }

  // A name that a name server resolved. A working name server will resolve it again. Empty when there is
  // none.
  std::string known_name() const;
  void ForgetKnownName();

  // Whether the system has a route to the address at this moment. It sends nothing.
  bool HasRouteTo(const boost::asio::ip::address& address) const;

  // Call it when there is no route to `address`. True when our own network may be at fault: the machine had a
  // route to addresses of that family before, or has none to the other family either. A machine with IPv4
  // that never had IPv6 cannot reach an endpoint that has only IPv6, and that is not an outage.
  bool MissesRoute(const boost::asio::ip::address& address) const;

 private:
  // Whether the system has a route to the internet at this moment.
  bool HasRoute(bool v6) const;

  const SourceAddresses sources_;
  std::atomic<SteadyTime> answered_at_{};
  std::atomic<SteadyTime> name_server_at_{};
  std::array<std::atomic<bool>, 2> had_route_{};  // to addresses of IPv4, of IPv6
  mutable Mutex mutex_;
  std::string known_name_ GUARDED_BY(mutex_);
};

}  // namespace postcall::http
