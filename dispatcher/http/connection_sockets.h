// Which socket a connection of libcurl's has: libcurl itself tells only its two ends before a request is
// sent. One thread, the loop's.
#pragma once

#include <string>
#include <unordered_map>

namespace postcall::http {

class ConnectionSockets {
 public:
  // The connection between these `ends` was made on `fd`. No notice is needed when it is closed: as long as
  // it is open, nothing else has its descriptor or its ends.
  void Note(int fd, std::string ends) {
    const auto [known, is_new] = ends_.try_emplace(fd);
    if (!is_new) {
      // Its descriptor before; its ends may be another one's by now.
      const auto last = sockets_.find(known->second);
      if (last != sockets_.end() && last->second == fd) sockets_.erase(last);
    }
    known->second = ends;
    sockets_.insert_or_assign(std::move(ends), fd);
  }

  // Of an open connection; -1 when it was never noted.
  int Find(const std::string& ends) const {
    const auto found = sockets_.find(ends);
    return found == sockets_.end() ? -1 : found->second;
  }

 private:
  std::unordered_map<int, std::string> ends_;
  std::unordered_map<std::string, int> sockets_;
};

}  // namespace postcall::http
