// The system's hosts file: a name that is in it is resolved from it alone, without DNS (CONTRACT §2). It is
// read once per change: 100,000 lines take 13 ms. One thread.
//
// It is read as glibc reads it: names in upper or lower case, several names per line, several lines per name.
// Comments begin with '#'. A line whose first word is not a plain address (a zone id, "10.1") is ignored.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dispatcher/http/lookup.h"

namespace postcall::http {

class HostsFile {
 public:
  // A file that does not exist has no names.
  explicit HostsFile(std::string path);

  // Reads the file if it has changed, and then returns true. When the file cannot be read, the names stay.
  bool Refresh();

  // The addresses of a host name in the file's order; empty when the file does not have the name. localhost
  // and names below it are loopback addresses, unless the file has others (RFC 6761 §6.3).
  Addresses Find(std::string_view host) const;

 private:
  void Index();

  const std::string path_;
  struct stat seen_ {};
  std::string text_;
  // A name's hash and where its line begins; sorted.
  std::vector<std::pair<std::uint64_t, std::size_t>> lines_;
};

}  // namespace postcall::http
