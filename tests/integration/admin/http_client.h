// A client that sends exactly the bytes that a test gives it, so that it can also violate the protocol. One
// thread.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "common/handle.h"

namespace postcall::admin {

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

class HttpClient {
 public:
  // Connects to "127.0.0.1:port" or "[::1]:port". Throws std::system_error.
  explicit HttpClient(const std::string& address);

  // False when the server has closed.
  bool Send(const std::string& bytes);

  // Reads one response; without a body when it answers HEAD. Throws std::runtime_error when the connection
  // ends first or nothing comes for 20 s.
  HttpResponse Receive(bool head = false);

  // Send, then Receive.
  HttpResponse Get(const std::string& target, const std::string& host = "localhost");

  // Waits until the server closes, 20 s at most; drops the bytes that come before.
  bool ClosedByServer();

  // Ends our sending; the answer can still be read.
  void ShutdownSend();

 private:
  // No value at the end of the connection. Throws when nothing comes for 20 s.
  std::optional<std::string> ReadSome();

  FileDescriptor socket_;
  std::string buffer_;
};

}  // namespace postcall::admin
