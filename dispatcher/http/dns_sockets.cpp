#include "dispatcher/http/dns_sockets.h"

#include <unistd.h>

#include <cerrno>

namespace postcall::http {
namespace {

// The size of a DNS message's header (RFC 1035 §4.1.1). c-ares asks one question in each message.
constexpr std::size_t kHeaderSize = 12;

std::uint16_t Number(std::string_view message, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(message[at]) << 8 |
                                    static_cast<unsigned char>(message[at + 1]));
}
bool HasOneQuestion(std::string_view message) {
  return message.size() > kHeaderSize && Number(message, 4) == 1;
}
bool IsResponse(std::string_view message) { return (message[2] & 0x80) != 0; }

// Whether c-ares can read the message. Before 1.28, c-ares has no function for that and ignores a message
// that it cannot read, but it ignores an empty datagram only where CVE-2023-32067 is fixed.
bool CanBeRead(std::string_view message) {
#if ARES_VERSION >= 0x011c00
  ares_dns_record_t* parsed = nullptr;
  const auto* const bytes = reinterpret_cast<const unsigned char*>(message.data());
  const ares_status_t status = ares_dns_parse(bytes, message.size(), 0, &parsed);
  ares_dns_record_destroy(parsed);
  return status == ARES_SUCCESS;
#else
  return !message.empty();
#endif
}

}  // namespace

DnsSockets::Question::Question(DnsSockets& sockets, bool& answered) : sockets_(sockets), answered_(answered) {
  sockets_.unsent_ = this;
}

DnsSockets::Question::~Question() {
  if (sockets_.unsent_ == this) sockets_.unsent_ = nullptr;
  if (position_) sockets_.sent_.erase(*position_);
}

void DnsSockets::Serve(ares_channel channel) {
#if ARES_VERSION >= 0x012200  // 1.34
  static constexpr ares_socket_functions_ex kFunctions = {
      .version = 1,
      .flags = ARES_SOCKFUNC_FLAG_NONBLOCKING,
      .asocket = &Open,
      .aclose = &Close,
      .asetsockopt =
          [](int, ares_socket_opt_t, const void*, socklen_t, void*) {
            errno = ENOSYS;  // no TCP Fast Open
            return -1;
          },
      .aconnect = [](int fd, const sockaddr* to, socklen_t size, unsigned,
                     void* self) { return Connect(fd, to, size, self); },
      .arecvfrom = &Receive,
      .asendto = [](int fd, const void* message, std::size_t size, int, const sockaddr*, socklen_t,
                    void* self) { return Send(fd, message, size, self); },
      .agetsockname = nullptr,
      .abind = nullptr,
      .aif_nametoindex = nullptr,
      .aif_indextoname = nullptr,
  };
  ares_set_socket_functions_ex(channel, &kFunctions, this);
#else
  static constexpr ares_socket_functions kFunctions = {&Open, &Close, &Connect, &Receive, &SendParts};
  ares_set_socket_functions(channel, &kFunctions, this);
#endif
}

int DnsSockets::Open(int family, int type, int protocol, void* self) {
  const int fd = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) {
    static_cast<DnsSockets*>(self)->error_ = errno;
    return fd;
  }
  // The answers for all names of a claim may come in one burst. The system lowers the size to its own limit.
  const int bytes = 1 << 20;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  return fd;
}

int DnsSockets::Close(int fd, void*) { return ::close(fd); }

int DnsSockets::Connect(int fd, const sockaddr* to, socklen_t size, void*) { return ::connect(fd, to, size); }

ssize_t DnsSockets::Receive(int fd, void* into, std::size_t size, int flags, sockaddr* from,
                            socklen_t* from_size, void* self) {
  const ssize_t received = ::recvfrom(fd, into, size, flags, from, from_size);
  const bool datagram = from != nullptr;  // over TCP c-ares asks only again what UDP has already answered
  if (!datagram || received < 0) return received;
  const std::string_view message(static_cast<const char*>(into), static_cast<std::size_t>(received));
  static_cast<DnsSockets*>(self)->NoteReceived(message);
  if (CanBeRead(message)) return received;
  errno = EAGAIN;  // when there is another message, the socket is still ready
  return -1;
}

ssize_t DnsSockets::Send(int fd, const void* message, std::size_t size, void* self) {
  const iovec part{const_cast<void*>(message), size};
  return SendParts(fd, &part, 1, self);
}

ssize_t DnsSockets::SendParts(int fd, const iovec* parts, int count, void* self) {
  if (count == 1) {
    static_cast<DnsSockets*>(self)->NoteSent({static_cast<const char*>(parts->iov_base), parts->iov_len});
  }
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(count);
  return ::sendmsg(fd, &message, MSG_NOSIGNAL);
}

// c-ares sends a new question before the call that asks it returns. Everything else that it sends in that
// time was sent before.
void DnsSockets::NoteSent(std::string_view message) {
  if (unsent_ == nullptr || !HasOneQuestion(message)) return;
  const std::uint16_t id = Number(message, 0);
  const std::string_view section = message.substr(kHeaderSize);
  for (auto [same, last] = sent_.equal_range(id); same != last; ++same) {
    if (same->second->section_ == section) return;
  }
  unsent_->section_ = section;
  unsent_->position_ = sent_.emplace(id, unsent_);
  unsent_ = nullptr;
}

// For an answer that cannot be read, only its id tells which question it answers.
void DnsSockets::NoteReceived(std::string_view message) {
  if (message.size() < 2) return;
  const bool readable = HasOneQuestion(message) && IsResponse(message);
  for (auto [asked, last] = sent_.equal_range(Number(message, 0)); asked != last; ++asked) {
    Question& question = *asked->second;
    if (!readable || message.substr(kHeaderSize).starts_with(question.section_)) question.answered_ = true;
  }
}

}  // namespace postcall::http
