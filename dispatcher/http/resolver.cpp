#include "dispatcher/http/resolver.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "dispatcher/http/local_fault.h"
#include "dispatcher/http/lookup_failure.h"
#include "dispatcher/http/socket_address.h"

namespace postcall::http {
namespace {

using boost::asio::ip::address;

// How often c-ares checks its time-outs while there is a lookup. Asking it for the next time-out would cost a
// walk over all of them.
constexpr std::chrono::milliseconds kTick{100};

// A question without an answer is asked again after this time, then after twice this time, and so on.
constexpr int kFirstTimeoutMs = 500;
#ifdef ARES_OPT_MAXTIMEOUTMS
// Newer versions first wait for 250 ms when the servers are fast, and later shorten the time-out at random,
// by up to a half.
constexpr int kTries = 6;
constexpr int kLongestTimeoutMs = 4000;
#else
constexpr int kTries = 4;
#endif

// How often to look whether the system's name servers and hosts file have changed.
constexpr std::chrono::seconds kLookAtSettings{1};

// IPv4 first, then the two families alternate.
Addresses Alternating(const Addresses& found) {
  Addresses v4;
  Addresses v6;
  for (const address& each : found) (each.is_v4() ? v4 : v6).push_back(each);
  Addresses alternating;
  for (std::size_t i = 0; i < std::max(v4.size(), v6.size()); ++i) {
    if (i < v4.size()) alternating.push_back(v4[i]);
    if (i < v6.size()) alternating.push_back(v6[i]);
  }
  return alternating;
}

// The last change of the file that names the name servers; zero when there is none.
timespec SystemSettingsChangedAt() {
  struct stat file {};
  return ::stat("/etc/resolv.conf", &file) == 0 ? file.st_mtim : timespec{};
}

}  // namespace

struct Resolver::Pending {
  std::string host;
  SteadyTime started;
  std::vector<LookupDone> waiting;
  int unanswered = 2;  // families
  Addresses found;
  int ttl = static_cast<int>(AddressCache::kMaxAge.count());
  int status = ARES_ETIMEOUT;  // of the family that failed; when both did, the one that says more of the name
  bool failed = false;         // the question for at least one family failed
  bool answered = false;       // a name server sent a message for this lookup
  std::optional<LocalFault> fault;
  bool finished = false;
};

struct Resolver::Over {
  std::vector<LookupDone> waiting;
  LookupResult result;
};

struct Resolver::Question {
  Question(Resolver& of, std::list<Pending>::iterator about)
      : resolver(of), pending(about), on_wire(of.sockets_, about->answered) {}

  Resolver& resolver;
  std::list<Pending>::iterator pending;
  DnsSockets::Question on_wire;
};

Resolver::Resolver(SocketWatch& watch, const std::string& name_servers, const std::string& hosts_file)
    : watch_(watch),
      name_servers_(name_servers),
      hosts_(hosts_file),
      read_at_(SystemSettingsChangedAt()),
      channel_(Open()) {}

Resolver::Channel Resolver::Open() {
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  options.timeout = kFirstTimeoutMs;
  options.tries = kTries;
  options.ndomains = 0;
  std::string dns_only = "b";
  options.lookups = dns_only.data();
  options.sock_state_cb_data = this;
  options.sock_state_cb = [](void* self, int fd, int readable, int writable) {
    auto* resolver = static_cast<Resolver*>(self);
    if (readable == 0 && writable == 0) {
      resolver->watch_.Remove(*resolver, fd);
    } else {
      resolver->watch_.Set(*resolver, fd, readable != 0, writable != 0);
    }
  };
  int given = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
              ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_MAXTIMEOUTMS
  options.maxtimeout = kLongestTimeoutMs;
  given |= ARES_OPT_MAXTIMEOUTMS;
#endif
#ifdef ARES_OPT_QUERY_CACHE
  options.qcache_max_ttl = 0;  // this class caches answers, for the time that CONTRACT §2 allows
  given |= ARES_OPT_QUERY_CACHE;
#endif
  ares_channel channel = nullptr;
  int status = ares_init_options(&channel, &options, given);
  Channel opened(channel);
  if (status == ARES_SUCCESS && !name_servers_.empty()) {
    status = ares_set_servers_ports_csv(channel, name_servers_.c_str());
  }
  if (status != ARES_SUCCESS) {
    throw std::runtime_error(std::string("cannot set up name lookups (see /etc/resolv.conf): ") +
                             ares_strerror(status));
  }
  sockets_.Serve(channel);
  return opened;
}

const Addresses* Resolver::Cached(const std::string& host) {
  const SteadyTime now = Steady::now();
  FollowSystem(now);
  return cache_.Find(host, now);
}

// A machine may get another hosts file or other name servers while it runs.
void Resolver::FollowSystem(SteadyTime now) {
  if (now - looked_at_ < kLookAtSettings) return;
  looked_at_ = now;
  if (hosts_.Refresh()) cache_.Clear();
  if (name_servers_.empty()) FollowNameServers();
}

// c-ares reads its name servers only once, so it needs a new channel when they change.
void Resolver::FollowNameServers() {
  const timespec changed_at = SystemSettingsChangedAt();
  if (changed_at.tv_sec == read_at_.tv_sec && changed_at.tv_nsec == read_at_.tv_nsec) return;
  try {
    Channel fresh = Open();
    former_.push_back(std::exchange(channel_, std::move(fresh)));
    read_at_ = changed_at;
  } catch (const std::runtime_error&) {
    // The file may be half written. The next look reads it again.
  }
}

// c-ares ends the pending questions with ARES_EDESTRUCTION while the members still exist. No `done` is
// called.
Resolver::~Resolver() {
  channel_.reset();
  former_.clear();
}

void Resolver::Lookup(const std::string& host, LookupDone done) {
  const SteadyTime now = Steady::now();
  FollowSystem(now);
  LookupResult pinned;
  pinned.addresses = Alternating(hosts_.Find(host));
  pinned.pinned = true;
  if (!pinned.addresses.empty()) {
    cache_.Put(host, pinned.addresses, AddressCache::kMaxAge, now);
    Over& over = over_.emplace_back(Over{{}, std::move(pinned)});
    over.waiting.push_back(std::move(done));
    return;
  }
  if (const auto same = unfinished_.find(host); same != unfinished_.end()) {
    same->second->waiting.push_back(std::move(done));
    return;
  }
  const auto pending = pending_.emplace(pending_.end());
  pending->host = host;
  pending->started = now;
  pending->waiting.push_back(std::move(done));
  unfinished_.emplace(host, &*pending);
  tick_ = std::min(tick_, pending->started + kTick);

  for (const int family : {AF_INET, AF_INET6}) {
    ares_addrinfo_hints hints{};
    hints.ai_flags = ARES_AI_NOSORT;
    hints.ai_family = family;
    sockets_.ForgetError();
    ares_getaddrinfo(
        channel_.get(), host.c_str(), nullptr, &hints,
        [](void* argument, int status, int, ares_addrinfo* answer) {
          const std::unique_ptr<Question> question(static_cast<Question*>(argument));
          const Handle<ares_addrinfo, ares_freeaddrinfo> owned(answer);
          question->resolver.AddAnswer(*question, status, answer);
        },
        std::make_unique<Question>(*this, pending).release());
  }
}

void Resolver::AddAnswer(const Question& question, int status, const ares_addrinfo* answer) {
  Pending& pending = *question.pending;
  if (status == ARES_SUCCESS) {
    for (const auto* node = answer->nodes; node != nullptr; node = node->ai_next) {
      pending.found.push_back(AddressOf(*node->ai_addr));
      pending.ttl = std::min(pending.ttl, node->ai_ttl);
    }
    for (const auto* alias = answer->cnames; alias != nullptr; alias = alias->next) {
      pending.ttl = std::min(pending.ttl, alias->ttl);
    }
  } else {
    // A name that does not exist has no address of either family. When one family has no address and the
    // other question failed, nothing is known about the name.
    const bool says_less = status == ARES_ENODATA && pending.failed;
    if (pending.status != ARES_ENOTFOUND && !says_less) pending.status = status;
    pending.failed = true;
    if (status == ARES_ECONNREFUSED) pending.fault = LocalFaultOf(sockets_.error());
    if (status == ARES_ENOMEM) pending.fault = LocalFault::kMemory;
  }
  if (--pending.unanswered > 0) return;
  Finish(pending);
  pending_.erase(question.pending);
}

// The next OnDue calls the callbacks, because c-ares or Lookup may be on the stack now.
void Resolver::Finish(Pending& pending) {
  if (pending.finished) return;
  pending.finished = true;
  unfinished_.erase(pending.host);
  LookupResult result = ResultOf(pending);
  if (!result.addresses.empty()) {
    cache_.Put(pending.host, result.addresses, std::chrono::seconds(pending.ttl), Steady::now());
  }
  over_.push_back({std::move(pending.waiting), std::move(result)});
}

LookupResult Resolver::ResultOf(const Pending& pending) {
  LookupResult result;
  result.addresses = Alternating(pending.found);
  if (result.addresses.empty()) {
    result.fault = pending.fault;
    const bool other_silent = pending.unanswered > 0 && pending.status == ARES_ENODATA;
    const int status = other_silent ? ARES_ETIMEOUT : pending.status;
    result.failure = result.fault ? LookupFailure::kOther : FailureOf(status, pending.answered);
    result.error = Sentence(result.failure, status);
  }
  return result;
}

void Resolver::OnDue(SteadyTime now) {
  if (now >= tick_) {
    sockets_.ForgetError();
    Process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (Pending& pending : pending_) {
      const auto age = now - pending.started;
      if (age < kEnoughWithOneFamily) break;
      if (age >= kGiveUp || !pending.found.empty()) Finish(pending);
    }
    tick_ = pending_.empty() ? SteadyTime::max() : now + kTick;
    if (pending_.empty()) former_.clear();
  }
  for (auto& [waiting, result] : std::exchange(over_, {})) {
    for (LookupDone& done : waiting) done(result);
  }
}

SteadyTime Resolver::due() const { return over_.empty() ? tick_ : SteadyTime::min(); }

void Resolver::OnReady(int fd, SocketWatch::Readiness readiness, void*) {
  sockets_.ForgetError();
  Process(readiness.readable || readiness.error ? fd : ARES_SOCKET_BAD,
          readiness.writable ? fd : ARES_SOCKET_BAD);
}

// A channel ignores a socket that is not its own.
void Resolver::Process(int readable, int writable) {
  ares_process_fd(channel_.get(), readable, writable);
  for (const Channel& channel : former_) ares_process_fd(channel.get(), readable, writable);
}

}  // namespace postcall::http
