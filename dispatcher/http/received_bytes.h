// How many bytes a TCP connection has brought so far. Any thread.
#pragma once

#include <cstdint>

namespace postcall::http {

// Those that nobody has read yet count, too, and the end as one. 0 when `fd` is no TCP socket.
std::uint64_t ReceivedBytes(int fd);

}  // namespace postcall::http
