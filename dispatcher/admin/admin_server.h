// The admin port: /metrics, /healthz and /readyz over HTTP (CONTRACT §8). It has a thread and an io_context
// of its own, so that a slow scraper does not delay deliveries and a busy network thread does not delay a
// scrape. Any thread may call the public functions, but a probe may not.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include "dispatcher/admin/probes.h"

namespace postcall::admin {

struct AdminOptions {
  std::string listen = "127.0.0.1:9464";  // "host:port" or "[v6]:port"; port 0 picks one
  std::chrono::milliseconds timeout{
      10'000};  // until the client has read an answer, or begins the next request
  std::chrono::milliseconds request_timeout{2'000};  // until a whole request has arrived
  std::size_t max_connections = 64;  // at least 1; when all are in use, a new one closes another
};

// The server cannot listen on the address. The text is one sentence with the address, the reason and what to
// do.
class ListenError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class AdminServer {
 public:
  // Starts to listen and to serve. Throws ListenError.
  AdminServer(AdminOptions options, Probes probes);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // The address it listens on, with the real port when the option said 0: "127.0.0.1:9464", "[::1]:9464".
  std::string address() const;

  // Closes the port and every connection, and returns when the thread has ended. A second call does nothing.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postcall::admin
