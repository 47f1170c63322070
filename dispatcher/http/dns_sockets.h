// The sockets of c-ares. They are opened here in order to know why one could not be opened, and whether any
// name server answered a question: c-ares says "connection refused" for SERVFAIL too. One thread, the loop's.
#pragma once

#include <ares.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace postcall::http {

class DnsSockets {
 public:
  // Lives from before the question is sent until c-ares is done with it. `answered` becomes true with the
  // first message that a server sends for it, even an error or a message that cannot be read.
  class Question {
   public:
    Question(DnsSockets& sockets, bool& answered);
    ~Question();
    Question(const Question&) = delete;
    Question& operator=(const Question&) = delete;

   private:
    friend class DnsSockets;
    DnsSockets& sockets_;
    bool& answered_;
    std::string section_;  // the question as it is in the DNS message
    std::optional<std::multimap<std::uint16_t, Question*>::iterator> position_;
  };

  // From now on the channel uses these sockets. This object outlives the channel.
  void Serve(ares_channel channel);

  // errno of the last socket that could not be opened since ForgetError; 0 when all could be.
  int error() const { return error_; }
  void ForgetError() { error_ = 0; }

 private:
  static int Open(int family, int type, int protocol, void* self);
  static int Close(int fd, void* self);
  static int Connect(int fd, const sockaddr* to, socklen_t size, void* self);
  static ssize_t Receive(int fd, void* into, std::size_t size, int flags, sockaddr* from,
                         socklen_t* from_size, void* self);
  static ssize_t Send(int fd, const void* message, std::size_t size, void* self);
  static ssize_t SendParts(int fd, const iovec* parts, int count, void* self);

  void NoteSent(std::string_view message);
  void NoteReceived(std::string_view message);

  int error_ = 0;
  Question* unsent_ = nullptr;
  // The questions by the id of their messages, which stays the same when a question is asked again. c-ares
  // 1.18 may give two questions the same id.
  std::multimap<std::uint16_t, Question*> sent_;
};

}  // namespace postcall::http
