// Looks up host names: in the hosts file, then with c-ares, which has no threads. Names are absolute, and
// answers are cached (CONTRACT §2). Lookups of the same name at the same time are one lookup. One thread, the
// loop's; the engine calls OnDue.
//
// What the code relies on in c-ares, 1.18 to 1.34 (tests/integration/http asserts it for the installed
// version):
// - Each family has a question of its own, so that a family without an answer does not hold up the other. The
//   question is sent before ares_getaddrinfo returns, and asked again with the same id.
// - The time-outs of a question end it later than kGiveUp, which this class enforces. Since 1.32 c-ares
//   adapts the time-outs to the speed of the servers, so this class sets more tries and a longest time-out.
// - c-ares caches nothing. Since 1.31 it would, for up to an hour, but its query cache is switched off.
// - c-ares uses DNS only (lookups "b"). With the hosts file too, it would look up each family separately.
// - c-ares never sees a datagram that it cannot read (DnsSockets), because newer versions then fail all
//   questions of that socket. Over TCP, which is used only for answers over 512 bytes, such a message still
//   costs each question one try.
// - The flags are set, so c-ares sends neither EDNS nor cookies. After SERVFAIL or REFUSED it asks the next
//   server.
// - Thousands of questions share a few sockets (kDescriptorsPerEngine). Only 1.34.6 uses one socket per
//   question while a server fails.
// - c-ares reads resolv.conf only when a channel is made. When the file changes, this class makes a new
//   channel.
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
#include "dispatcher/http/dns_sockets.h"
#include "dispatcher/http/hosts_file.h"
#include "dispatcher/http/lookup.h"
#include "dispatcher/http/socket_watch.h"

namespace postcall::http {

class Resolver final : public SocketWatch::Owner {
 public:
  // A lookup without an answer after this time has failed.
  static constexpr std::chrono::seconds kGiveUp{5};
  // After this time the addresses of one family are enough, because some name servers drop the question for
  // IPv6.
  static constexpr std::chrono::seconds kEnoughWithOneFamily{2};

  // `name_servers`: "127.0.0.1:5353,…"; empty for those of the system. The system's name servers and the
  // hosts file are read again when they change. Throws std::runtime_error.
  Resolver(SocketWatch& watch, const std::string& name_servers, const std::string& hosts_file);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // The addresses of a name that was looked up before, until they expire; nullptr when a lookup is needed.
  const Addresses* Cached(const std::string& host);
  // A later OnDue calls `done`.
  void Lookup(const std::string& host, LookupDone done);
  void MoveToBack(const std::string& host, const boost::asio::ip::address& address) {
    cache_.MoveToBack(host, address);
  }

  // Ends lookups that took too long, and calls the `done` of those that are over.
  void OnDue(SteadyTime now);
  // When OnDue must be called next; SteadyTime::max() for never.
  SteadyTime due() const;
  void OnReady(int fd, SocketWatch::Readiness readiness, void* tag) override;

 private:
  struct Pending;
  struct Question;
  struct Over;
  using Channel = Handle<ares_channeldata, ares_destroy>;

  Channel Open();
  void FollowSystem(SteadyTime now);
  void FollowNameServers();
  void Process(int readable, int writable);
  void AddAnswer(const Question& question, int status, const ares_addrinfo* answer);
  void Finish(Pending& pending);
  static LookupResult ResultOf(const Pending& pending);

  SocketWatch& watch_;
  const std::string name_servers_;
  HostsFile hosts_;
  timespec read_at_{};    // the time of the system's name servers that were read
  SteadyTime looked_at_;  // when it was last checked whether they or the hosts file changed
  DnsSockets sockets_;
  SteadyTime tick_ = SteadyTime::max();
  AddressCache cache_;
  std::list<Pending> pending_;  // oldest first; each stays until c-ares has answered for both families
  std::unordered_map<std::string, Pending*> unfinished_;
  std::vector<Over> over_;
  Channel channel_;
  std::vector<Channel> former_;  // channels with earlier settings; their questions may still be pending
};

}  // namespace postcall::http
