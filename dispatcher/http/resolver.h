// Looks up host names with c-ares: no threads, names taken as absolute, answers cached (CONTRACT §2). Lookups
// of one name at one time are one lookup. One thread, the loop's; the engine drives it by Turn.
#pragma once

#include <ares.h>

#include <chrono>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/handle.h"
#include "dispatcher/http/address_cache.h"
#include "dispatcher/http/lookup.h"
#include "dispatcher/http/socket_watch.h"

namespace postcall::http {

class Resolver final : public SocketWatch::Owner {
 public:
  // A lookup that has no answer by then has failed.
  static constexpr std::chrono::seconds kGiveUp{5};
  // One family's addresses are enough when the other's answer has not come by then: some name servers drop
  // the question for IPv6.
  static constexpr std::chrono::seconds kEnoughWithOneFamily{2};

  // `name_servers`: "127.0.0.1:5353,…"; empty for those of the system, which are read anew when they change.
  // Throws std::runtime_error.
  Resolver(SocketWatch& watch, const std::string& name_servers);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // The addresses of a name looked up before, as long as they hold; nullptr when a lookup is needed.
  const Addresses* Cached(const std::string& host) const { return cache_.Find(host, Steady::now()); }
  // `done` is called from a later Turn.
  void Lookup(const std::string& host, LookupDone done);
  void MoveToBack(const std::string& host, const boost::asio::ip::address& address) {
    cache_.MoveToBack(host, address);
  }

  // Ends what took too long and calls the `done` of what is over.
  void Turn(SteadyTime now);
  // When Turn wants to be called; SteadyTime::max() for not at all.
  SteadyTime due() const;
  void OnReady(int fd, SocketWatch::Readiness readiness, void* tag) override;

 private:
  struct Pending;
  struct Question;
  using Channel = Handle<ares_channeldata, ares_destroy>;

  Channel Open();
  void FollowSystem(SteadyTime now);
  void Process(int readable, int writable);
  void AddAnswer(const Question& question, int status, const ares_addrinfo* answer);
  void Finish(Pending& pending);
  static LookupResult ResultOf(const Pending& pending);

  SocketWatch& watch_;
  const std::string name_servers_;
  timespec read_at_{};    // when the system's settings were last changed, as they were read
  SteadyTime looked_at_;  // whether they were changed
  int socket_error_ = 0;  // errno of a socket that could not be made, during a call into c-ares
  SteadyTime tick_ = SteadyTime::max();
  AddressCache cache_;
  std::list<Pending> pending_;  // oldest first; each stays until c-ares has answered for both families
  std::unordered_map<std::string, Pending*> unfinished_;
  std::vector<std::pair<std::vector<LookupDone>, LookupResult>> over_;
  Channel channel_;
  std::vector<Channel> former_;  // with settings of before; questions may still be pending
};

}  // namespace postcall::http
