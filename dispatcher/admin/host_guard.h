// Protection from DNS rebinding: a page in the operator's browser whose name was made to point at 127.0.0.1
// is known by the Host header that it cannot help sending (CONTRACT §8). Any thread, as it never changes once
// made.
#pragma once

#include <string>
#include <string_view>

namespace postcall::admin {

class HostGuard {
 public:
  // Admits every Host: for an address that others than this machine can reach anyway.
  HostGuard() = default;
  // Admits only the names of this machine, and `listen_host` as it was given.
  explicit HostGuard(std::string listen_host) : loopback_(true), listen_host_(std::move(listen_host)) {}

  // `host` is the header's value, with or without a port. Any port will do: a forwarded port has another
  // number.
  bool Admits(std::string_view host) const;

 private:
  bool loopback_ = false;
  std::string listen_host_;
};

}  // namespace postcall::admin
