// Sends POSTs: looks up names, keeps connections, enforces deadlines, all on the thread of one io_context. It
// never sends a request twice: when libcurl tries to, it is stopped before the first byte. Call every
// function on the loop's thread; the constructor and destructor may also run while no loop runs.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "dispatcher/egress/policy.h"
#include "dispatcher/http/lookup.h"
#include "dispatcher/http/post.h"
#include "dispatcher/http/reachability.h"
#include "dispatcher/metrics/metrics.h"

namespace postcall::http {

// The file descriptors that an engine may use: these, and one per idle connection.
inline constexpr std::size_t kDescriptorsPerPost = 1;  // in flight
inline constexpr std::size_t kDescriptorsPerEngine = 150;

struct EngineOptions {
  std::chrono::milliseconds timeout{10'000};  // of one POST, from Post() to the end of its response
  std::size_t response_body_bytes = 4096;     // bytes of each response that are kept
  std::string ca_file = {};                   // PEM; empty: the system's bundle
  std::size_t max_idle_connections = 2000;    // kept open for reuse; each needs one descriptor
  std::string name_servers = {};              // "127.0.0.1:5353,…"; empty: the system's name servers
  std::string hosts_file = "/etc/hosts";
};

// Initialises libcurl for the process. Every engine's constructor does it too, but a process must call it
// before it starts threads, because it changes the environment. Throws std::runtime_error.
void InitialiseLibrary();

// The version of libcurl, such as "7.88.1".
std::string LibraryVersion();

class Engine {
 public:
  // `policy`, `reachability` and `metrics` outlive the engine. Throws std::runtime_error when the CA bundle
  // or the name servers cannot be read; the message says what to do.
  Engine(boost::asio::io_context& loop, const egress::Policy& policy, Reachability& reachability,
         metrics::Metrics& metrics, EngineOptions options);
  // Cancels the POSTs in flight; no PostDone is called any more.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Starts one POST. Its `done` is called later, never inside Post, and within the timeout, so there is no
  // function to cancel a POST.
  void Post(PostRequest request, PostDone done);

  // Does all of a POST except sending the request: looks up the name, checks the addresses, connects, makes
  // the TLS handshake. When the request could have been sent, the outcome is kNotSent and `reached` is
  // kConnected.
  void Rehearse(PostRequest request, PostDone done);

  // Looks up the addresses of a host name, even when they are known. The egress policy does not check them.
  // `done` is called later.
  void Lookup(const std::string& host, LookupDone done);

  // POSTs and rehearsals whose `done` has not been called.
  std::size_t in_flight() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace postcall::http
