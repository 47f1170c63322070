#include "tests/integration/admin/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace postcall::admin {
namespace {

constexpr int kPatienceMs = 20'000;

[[noreturn]] void Throw(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

FileDescriptor Connect(const std::string& address) {
  const auto colon = address.rfind(':');
  const auto port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
  std::string host = address.substr(0, colon);
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (host.starts_with('[')) {
    host = host.substr(1, host.size() - 2);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = port;
    ::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr);
    size = sizeof(*v6);
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = port;
    ::inet_pton(AF_INET, host.c_str(), &v4->sin_addr);
    size = sizeof(*v4);
  }
  FileDescriptor socket(::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) Throw("socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) Throw("connect");
  return socket;
}

}  // namespace

HttpClient::HttpClient(const std::string& address) : socket_(Connect(address)) {}

bool HttpClient::Send(const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = ::send(socket_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count < 0) return false;
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

std::optional<std::string> HttpClient::ReadSome() {
  pollfd wait{.fd = socket_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&wait, 1, kPatienceMs) != 1) throw std::runtime_error("nothing came for 20 s");
  std::string bytes(65536, '\0');
  const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
  if (count <= 0) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(count));
  return bytes;
}

HttpResponse HttpClient::Receive(bool head) {
  const auto need = [this](auto enough) {
    while (!enough()) {
      const auto more = ReadSome();
      if (!more) throw std::runtime_error("the connection ended after: " + buffer_);
      buffer_ += *more;
    }
  };
  std::size_t end = 0;
  need([&] { return (end = buffer_.find("\r\n\r\n")) != std::string::npos; });
  const std::string text = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);

  HttpResponse response;
  if (!text.starts_with("HTTP/1.1 ")) throw std::runtime_error("not HTTP/1.1: " + text);
  response.status = std::stoi(text.substr(9));
  for (std::size_t at = text.find("\r\n") + 2; at < text.size();) {
    const std::size_t line_end = text.find("\r\n", at);
    const std::size_t colon = text.find(": ", at);
    std::string name = text.substr(at, colon - at);
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    response.headers[name] = text.substr(colon + 2, line_end - colon - 2);
    at = line_end + 2;
  }
  if (!head) {
    const std::size_t length = std::stoul(response.headers.at("content-length"));
    need([&] { return buffer_.size() >= length; });
    response.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
  }
  return response;
}

HttpResponse HttpClient::Get(const std::string& target, const std::string& host) {
  Send("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  return Receive();
}

bool HttpClient::ClosedByServer() {
  try {
    while (ReadSome()) {
    }
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

void HttpClient::ShutdownSend() { ::shutdown(socket_.get(), SHUT_WR); }

}  // namespace postcall::admin
