// How many bytes a TCP connection has received so far. Any thread.
#pragma once

#include <cstdint>

namespace postcall::http {

// Unread bytes count too, and the end of the connection counts as one. 0 when `fd` is not a TCP socket.
std::uint64_t ReceivedBytes(int fd);

}  // namespace postcall::http
