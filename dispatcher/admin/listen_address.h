// An address to listen on, as an option gives it: "127.0.0.1:9464", "[::1]:9464", "localhost:0". Any thread;
// a value type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace postcall::admin {

struct ListenAddress {
  std::string host;  // without brackets
  std::uint16_t port = 0;
};

// The error says what to write instead.
Result<ListenAddress> ParseListenAddress(std::string_view text);

// An IPv6 host is written in brackets.
std::string ToString(const ListenAddress& address);

}  // namespace postcall::admin
