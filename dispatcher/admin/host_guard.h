// Protection against DNS rebinding (CONTRACT §8): an attacker makes the name of a web page in the operator's
// browser resolve to 127.0.0.1. Its requests have that name in the Host header, so they can be refused. Any
// thread, because it never changes.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace postcall::admin {

class HostGuard {
 public:
  // Admits every Host. For an address that other machines can reach anyway.
  HostGuard() = default;
  // Admits only the loopback names of this machine, and `listen_host` unchanged.
  explicit HostGuard(std::string listen_host) : loopback_(true), listen_host_(std::move(listen_host)) {}

  // `host` is the header's value, with or without a port. Every port is admitted, because a forwarded port
  // has another number.
  bool Admits(std::string_view host) const;

 private:
  bool loopback_ = false;
  std::string listen_host_;
};

}  // namespace postcall::admin
