#include "dispatcher/admin/host_guard.h"

#include "common/ascii.h"

namespace postcall::admin {
namespace {

// The host without brackets and port; empty when the text is not a host.
std::string_view WithoutPort(std::string_view host) {
  const auto after_brackets = host.starts_with('[') ? host.find(']') : 0;
  if (after_brackets == std::string_view::npos) return {};
  const auto colon = host.find(':', after_brackets);
  if (colon != std::string_view::npos) {
    const std::string_view port = host.substr(colon + 1);
    if (port.size() > 5 || port.find_first_not_of("0123456789") != std::string_view::npos) return {};
    host = host.substr(0, colon);
  }
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return {};
    host = host.substr(1, host.size() - 2);
  }
  return host;
}

}  // namespace

bool HostGuard::Admits(std::string_view host) const {
  if (!loopback_) return true;
  const std::string_view name = WithoutPort(host);
  for (const std::string_view known : {std::string_view("localhost"), std::string_view("127.0.0.1"),
                                       std::string_view("::1"), std::string_view(listen_host_)}) {
    if (EqualInAnyCase(name, known)) return true;
  }
  return false;
}

}  // namespace postcall::admin
