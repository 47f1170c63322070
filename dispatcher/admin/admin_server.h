// The admin port: /metrics, /healthz and /readyz over HTTP (CONTRACT §8). Has one thread and one io_context
// of its own, so that neither a slow scraper nor a busy network thread holds up the other. Any thread may
// call the public functions, but not a probe.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "dispatcher/admin/probes.h"

namespace postcall::admin {

struct AdminOptions {
  std::string listen = "127.0.0.1:9464";      // "host:port" or "[v6]:port"; port 0 picks one
  std::optional<std::string> token;           // for the operator's page on other addresses than loopback
  std::chrono::milliseconds timeout{10'000};  // for an answer to be taken, and for the next request to begin
  std::chrono::milliseconds request_timeout{2'000};  // for a whole request to arrive
  std::size_t max_connections = 64;                  // at least 1; one more takes the place of another
};

// The address cannot be had: one sentence that names it, the reason and the mend.
class ListenError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class AdminServer {
 public:
  // Listens and serves from here on. Throws ListenError.
  AdminServer(AdminOptions options, Probes probes);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Where it listens, with the port that was picked: "127.0.0.1:9464", "[::1]:9464".
  std::string address() const;

  // Closes the port and every connection, and returns when the thread has ended. A second call does nothing.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace postcall::admin
