#include "dispatcher/http/received_bytes.h"

#include <linux/tcp.h>  // glibc's tcp_info lacks the byte count, and the two headers do not go together
#include <netinet/in.h>
#include <sys/socket.h>

namespace postcall::http {

std::uint64_t ReceivedBytes(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received : 0;
}

}  // namespace postcall::http
