#include "dispatcher/http/resolver.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "dispatcher/http/local_fault.h"

namespace postcall::http {
namespace {

using boost::asio::ip::address;
using boost::asio::ip::address_v4;
using boost::asio::ip::address_v6;

// How often c-ares may look after its timeouts while a lookup is under way. Asking it for the next one would
// cost a walk over all of them.
constexpr std::chrono::milliseconds kTick{100};

// The first answer is waited for that long, then the question is asked again, twice as patiently each time.
constexpr int kFirstTimeoutMs = 500;
constexpr int kTries = 4;

// How often to look whether the system's name servers have changed.
constexpr std::chrono::seconds kLookAtSettings{5};

// Sockets are made here, so that it is known why one could not be made.
int OpenSocket(int family, int type, int protocol, void* socket_error) {
  const int fd = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) {
    *static_cast<int*>(socket_error) = errno;
    return fd;
  }
  // A claim's names may be answered in one burst; the system cuts it down to what it allows.
  const int bytes = 1 << 20;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  return fd;
}
int CloseSocket(int fd, void*) { return ::close(fd); }
int Connect(int fd, const sockaddr* to, socklen_t size, void*) { return ::connect(fd, to, size); }
ssize_t Receive(int fd, void* into, std::size_t size, int flags, sockaddr* from, socklen_t* from_size,
                void*) {
  return ::recvfrom(fd, into, size, flags, from, from_size);
}
ssize_t Send(int fd, const iovec* parts, int count, void*) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(count);
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

constexpr ares_socket_functions kSocketFunctions = {&OpenSocket, &CloseSocket, &Connect, &Receive, &Send};

address ToAddress(const sockaddr& raw) {
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

// Of the file that names the name servers; zero when there is none.
timespec SystemSettingsChangedAt() {
  struct stat file {};
  return ::stat("/etc/resolv.conf", &file) == 0 ? file.st_mtim : timespec{};
}

std::string Sentence(int status) {
  switch (status) {
    case ARES_ENOTFOUND:
      return "The host name does not exist.";
    case ARES_ENODATA:
      return "The host name has no address.";
    case ARES_ETIMEOUT:
      return "The name servers did not answer.";
    case ARES_EBADNAME:
      return "The host name is not one that can be looked up.";
    case ARES_ECONNREFUSED:  // c-ares' word for all of: not reached, SERVFAIL, refused
      return "No name server could tell.";
    default:
      return std::string("The name lookup failed: ") + ares_strerror(status) + ".";
  }
}

}  // namespace

struct Resolver::Pending {
  std::string host;
  SteadyTime started;
  std::vector<LookupDone> waiting;
  int unanswered = 2;  // families
  Addresses v4;
  Addresses v6;
  int ttl = static_cast<int>(AddressCache::kMaxAge.count());
  int status = ARES_ETIMEOUT;  // of what failed, what says most about the name
  LocalFault fault = LocalFault::kNone;
  bool finished = false;
};

struct Resolver::Question {
  Resolver* resolver;
  std::list<Pending>::iterator pending;
};

Resolver::Resolver(SocketWatch& watch, const std::string& name_servers)
    : watch_(watch), name_servers_(name_servers), read_at_(SystemSettingsChangedAt()), channel_(Open()) {}

Resolver::Channel Resolver::Open() {
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
  options.timeout = kFirstTimeoutMs;
  options.tries = kTries;
  options.ndomains = 0;
  std::string hosts_file_then_dns = "fb";
  options.lookups = hosts_file_then_dns.data();
  options.sock_state_cb_data = this;
  options.sock_state_cb = [](void* self, int fd, int readable, int writable) {
    auto* resolver = static_cast<Resolver*>(self);
    if (readable == 0 && writable == 0) {
      resolver->watch_.Remove(*resolver, fd);
    } else {
      resolver->watch_.Set(*resolver, fd, readable != 0, writable != 0);
    }
  };
  ares_channel channel = nullptr;
  int status = ares_init_options(&channel, &options,
                                 ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS |
                                     ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
  Channel opened(channel);
  if (status == ARES_SUCCESS && !name_servers_.empty()) {
    status = ares_set_servers_ports_csv(channel, name_servers_.c_str());
  }
  if (status != ARES_SUCCESS) {
    throw std::runtime_error(std::string("cannot set up name lookups (see /etc/resolv.conf): ") +
                             ares_strerror(status));
  }
  ares_set_socket_functions(channel, &kSocketFunctions, &socket_error_);
  return opened;
}

// c-ares reads them once; a machine may get other name servers while it runs.
void Resolver::FollowSystem(SteadyTime now) {
  if (!name_servers_.empty() || now - looked_at_ < kLookAtSettings) return;
  looked_at_ = now;
  const timespec changed_at = SystemSettingsChangedAt();
  if (changed_at.tv_sec == read_at_.tv_sec && changed_at.tv_nsec == read_at_.tv_nsec) return;
  try {
    Channel fresh = Open();
    former_.push_back(std::exchange(channel_, std::move(fresh)));
    read_at_ = changed_at;
  } catch (const std::runtime_error&) {
    // Half written, perhaps: the next look may find it whole.
  }
}

// What is pending answers ARES_EDESTRUCTION while the members are still there; nobody is told.
Resolver::~Resolver() {
  channel_.reset();
  former_.clear();
}

void Resolver::Lookup(const std::string& host, LookupDone done) {
  FollowSystem(Steady::now());
  if (const auto same = unfinished_.find(host); same != unfinished_.end()) {
    same->second->waiting.push_back(std::move(done));
    return;
  }
  const auto pending = pending_.emplace(pending_.end());
  pending->host = host;
  pending->started = Steady::now();
  pending->waiting.push_back(std::move(done));
  unfinished_.emplace(host, &*pending);
  tick_ = std::min(tick_, pending->started + kTick);

  for (const int family : {AF_INET, AF_INET6}) {
    ares_addrinfo_hints hints{};
    hints.ai_flags = ARES_AI_NOSORT;
    hints.ai_family = family;
    socket_error_ = 0;
    ares_getaddrinfo(
        channel_.get(), host.c_str(), nullptr, &hints,
        [](void* argument, int status, int, ares_addrinfo* answer) {
          const std::unique_ptr<Question> question(static_cast<Question*>(argument));
          const Handle<ares_addrinfo, ares_freeaddrinfo> owned(answer);
          question->resolver->AddAnswer(*question, status, answer);
        },
        std::make_unique<Question>(Question{this, pending}).release());
  }
}

void Resolver::AddAnswer(const Question& question, int status, const ares_addrinfo* answer) {
  Pending& pending = *question.pending;
  if (status == ARES_SUCCESS) {
    for (const auto* node = answer->nodes; node != nullptr; node = node->ai_next) {
      const address found = ToAddress(*node->ai_addr);
      (found.is_v4() ? pending.v4 : pending.v6).push_back(found);
      pending.ttl = std::min(pending.ttl, node->ai_ttl);
    }
    for (const auto* alias = answer->cnames; alias != nullptr; alias = alias->next) {
      pending.ttl = std::min(pending.ttl, alias->ttl);
    }
  } else {
    // A name without addresses of one family exists; what the name server said beats what it did not say.
    const bool known = pending.status == ARES_ENODATA || pending.status == ARES_ENOTFOUND;
    if (status == ARES_ENODATA || !known) pending.status = status;
    if (status == ARES_ECONNREFUSED) pending.fault = LocalFaultOf(socket_error_);
    if (status == ARES_ENOMEM) pending.fault = LocalFault::kMemory;
  }
  if (--pending.unanswered > 0) return;
  Finish(pending);
  pending_.erase(question.pending);
}

// Waiters are told by the next Turn: c-ares may be on the stack, and so may Lookup.
void Resolver::Finish(Pending& pending) {
  if (pending.finished) return;
  pending.finished = true;
  unfinished_.erase(pending.host);
  LookupResult result = ResultOf(pending);
  if (!result.addresses.empty()) {
    cache_.Put(pending.host, result.addresses, std::chrono::seconds(pending.ttl), Steady::now());
  }
  over_.emplace_back(std::move(pending.waiting), std::move(result));
}

LookupResult Resolver::ResultOf(const Pending& pending) {
  LookupResult result;
  for (std::size_t i = 0; i < std::max(pending.v4.size(), pending.v6.size()); ++i) {
    if (i < pending.v4.size()) result.addresses.push_back(pending.v4[i]);
    if (i < pending.v6.size()) result.addresses.push_back(pending.v6[i]);
  }
  if (result.addresses.empty()) {
    result.error = Sentence(pending.status);
    result.fault = pending.fault;
  }
  return result;
}

void Resolver::Turn(SteadyTime now) {
  if (now >= tick_) {
    socket_error_ = 0;
    Process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    for (Pending& pending : pending_) {
      const auto age = now - pending.started;
      if (age < kEnoughWithOneFamily) break;
      if (age >= kGiveUp || !pending.v4.empty() || !pending.v6.empty()) Finish(pending);
    }
    tick_ = pending_.empty() ? SteadyTime::max() : now + kTick;
    if (pending_.empty()) former_.clear();
  }
  for (const auto& [waiting, result] : std::exchange(over_, {})) {
    for (const LookupDone& done : waiting) done(result);
  }
}

SteadyTime Resolver::due() const { return over_.empty() ? tick_ : SteadyTime::min(); }

void Resolver::OnReady(int fd, SocketWatch::Readiness readiness, void*) {
  socket_error_ = 0;
  Process(readiness.readable || readiness.error ? fd : ARES_SOCKET_BAD,
          readiness.writable ? fd : ARES_SOCKET_BAD);
}

// A channel takes no notice of a socket that is not its own.
void Resolver::Process(int readable, int writable) {
  ares_process_fd(channel_.get(), readable, writable);
  for (const Channel& channel : former_) ares_process_fd(channel.get(), readable, writable);
}

}  // namespace postcall::http
