// Finds the socket of a connection by its two ends, because libcurl tells only these before a request is
// sent. One thread, the loop's.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>

namespace postcall::http {

class ConnectionSockets {
 public:
  // The connection between these `ends` uses `fd`. A closed connection need not be removed: while a
  // connection is open, no other one has its descriptor or its ends.
  void Note(int fd, std::string ends) {
    const auto [known, is_new] = ends_.try_emplace(fd);
    if (!is_new) {
      // A connection that is now closed had this descriptor. Another one may have its ends by now.
      const auto last = sockets_.find(known->second);
      if (last != sockets_.end() && last->second == fd) sockets_.erase(last);
    }
    known->second = ends;
    sockets_.insert_or_assign(std::move(ends), fd);
  }

  // The socket of an open connection; -1 when it was never noted.
  int Find(const std::string& ends) const {
    const auto found = sockets_.find(ends);
    return found == sockets_.end() ? -1 : found->second;
  }

 private:
  std::unordered_map<int, std::string> ends_;
  std::unordered_map<std::string, int> sockets_;
};

}  // namespace postcall::http
