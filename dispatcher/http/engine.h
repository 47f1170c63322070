// Sends POSTs: looks up names, keeps connections, holds deadlines, all on the thread of one io_context. Never
// sends a request twice: a second send is stopped before its first byte, whatever libcurl has in mind.
// Every function is called on the loop's thread, but the constructor and destructor also while no loop runs.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "dispatcher/egress/policy.h"
#include "dispatcher/http/lookup.h"
#include "dispatcher/http/post.h"
#include "dispatcher/metrics/metrics.h"

namespace postcall::http {

// What an engine can hold of file descriptors: these, and one for each idle connection.
inline constexpr std::size_t kDescriptorsPerPost = 1;  // in flight
inline constexpr std::size_t kDescriptorsPerEngine = 150;

struct EngineOptions {
  std::chrono::milliseconds timeout{10'000};  // of one POST, from Post() to the end of its answer
  std::size_t response_body_bytes = 4096;     // kept of each answer
  std::string ca_file = {};                   // PEM; empty: the system's bundle
  std::size_t max_idle_connections = 2000;    // kept open for reuse, each one descriptor
  std::string name_servers = {};              // "127.0.0.1:5353,…"; empty: the system's
};

// Readies libcurl for the process. Every engine's constructor does it too; a process that goes on to start
// threads calls it before, because it changes the environment. Throws std::runtime_error.
void InitialiseLibrary();

// libcurl's own, "7.88.1".
std::string LibraryVersion();

class Engine {
 public:
  // `policy` and `metrics` outlive the engine. Throws std::runtime_error when the CA bundle or the name
  // servers cannot be read; the message names the mend.
  Engine(boost::asio::io_context& loop, const egress::Policy& policy, metrics::Metrics& metrics,
         EngineOptions options);
  // Cuts off what is in flight; no PostDone is called from here on.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Starts one POST. Its `done` is called later, never from inside Post, and within the timeout: there is no
  // need to cancel one.
  void Post(PostRequest request, PostDone done);

  // All of a POST but the request: looks up, vets, connects, shakes hands. The outcome is kNotSent and
  // `reached` kConnected when the request could have been sent.
  void Rehearse(PostRequest request, PostDone done);

  // The addresses of a host name, unvetted. `done` is called later.
  void Lookup(const std::string& host, LookupDone done);

  // POSTs and rehearsals whose `done` has not been called.
  std::size_t in_flight() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace postcall::http
