#include "dispatcher/http/hosts_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/ascii.h"
#include "common/handle.h"

namespace postcall::http {
namespace {

using boost::asio::ip::address_v4;
using boost::asio::ip::address_v6;

std::uint64_t Hash(std::string_view name) {  // FNV-1a
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(ToLower(c))) * 1099511628211U;
  return hash;
}

std::string_view LineAt(std::string_view text, std::size_t begin) {
  return text.substr(begin, text.find('\n', begin) - begin);
}

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool EndsWord(char c) { return IsSpace(c) || c == '#'; }

// Removes the next word from the line and returns it; empty at the line's end or where a comment begins.
std::string_view TakeWord(std::string_view& line) {
  const auto begin = std::ranges::find_if_not(line, IsSpace);
  const auto end = std::find_if(begin, line.end(), EndsWord);
  line.remove_prefix(static_cast<std::size_t>(end - line.begin()));
  return {begin, end};
}

// An absolute name is the same with and without the final dot.
std::string_view TakeName(std::string_view& line) {
  std::string_view name = TakeWord(line);
  if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);
  return name;
}

// A change of the content changes the times of the inode, and a file that replaces another has another inode.
bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

bool ReadAll(int fd, std::string& text) {
  for (std::size_t size = 0;;) {
    if (size == text.size()) text.resize(size + (1 << 16));
    const ssize_t count = ::read(fd, text.data() + size, text.size() - size);
    if (count < 0) return false;
    size += static_cast<std::size_t>(count);
    if (count > 0) continue;
    text.resize(size);
    return true;
  }
}

}  // namespace

HostsFile::HostsFile(std::string path) : path_(std::move(path)) { Refresh(); }

bool HostsFile::Refresh() {
  struct stat now {};
  const bool exists = ::stat(path_.c_str(), &now) == 0;
  if ((!exists && errno != ENOENT) || SameFile(now, seen_)) return false;
  std::string text;
  if (exists) {
    const FileDescriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    // A file that changes while it is read has a later time, and is read again.
    if (!file || ::fstat(file.get(), &now) != 0) return false;
    text.resize(static_cast<std::size_t>(now.st_size) + 1);
    if (!ReadAll(file.get(), text)) return false;
  }
  seen_ = now;
  text_ = std::move(text);
  Index();
  return true;
}

void HostsFile::Index() {
  lines_.clear();
  const std::string_view text = text_;
  for (std::size_t begin = 0; begin < text.size();) {
    std::string_view line = LineAt(text, begin);
    const std::size_t next = begin + line.size() + 1;
    TakeWord(line);  // Find reads the address
    for (auto name = TakeName(line); !name.empty(); name = TakeName(line)) {
      lines_.emplace_back(Hash(name), begin);
    }
    begin = next;
  }
  std::ranges::sort(lines_);
}

Addresses HostsFile::Find(std::string_view host) const {
  Addresses found;
  const std::uint64_t hash = Hash(host);
  for (auto entry = std::ranges::lower_bound(lines_, std::pair(hash, std::size_t{0}));
       entry != lines_.end() && entry->first == hash; ++entry) {
    std::string_view line = LineAt(text_, entry->second);
    const std::string_view word = TakeWord(line);
    boost::system::error_code failed;
    const auto address = boost::asio::ip::make_address(std::string(word), failed);
    if (failed || word.find('%') != word.npos || std::ranges::count(found, address) != 0) continue;
    for (auto name = TakeName(line); !name.empty(); name = TakeName(line)) {
      if (!EqualInAnyCase(name, host)) continue;
      found.push_back(address);
      break;
    }
  }
  if (found.empty() && (EqualInAnyCase(host, "localhost") || host.ends_with(".localhost"))) {
    return {address_v4::loopback(), address_v6::loopback()};
  }
  return found;
}

}  // namespace postcall::http
