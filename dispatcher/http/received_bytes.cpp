#include "dispatcher/http/received_bytes.h"

#include <linux/tcp.h>  // glibc's own tcp_info ends before the bytes, and the two cannot be included together
#include <netinet/in.h>
#include <sys/socket.h>

namespace postcall::http {

std::uint64_t ReceivedBytes(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  return ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received : 0;
}

}  // namespace postcall::http
