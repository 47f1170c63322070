// The network threads. Each runs one io_context with an HTTP engine of its own, and nothing on it blocks. An
// endpoint always belongs to the same thread, so that its idle connections are used again. Any thread may
// post; tasks run on the network thread.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "common/progress.h"
#include "common/unique_function.h"
#include "dispatcher/http/engine.h"

namespace postcall::dispatch {

class Network {
 public:
  using Task = UniqueFunction<void(http::Engine&)>;

  // `tick` is run on the first of the threads, four times a second. Throws std::runtime_error as http::Engine
  // does, before any thread is started.
  Network(int threads, const egress::Policy& policy, http::Reachability& reachability,
          metrics::Metrics& metrics, const http::EngineOptions& options, Progress& progress, Task tick);
  // Cuts off what is still in flight.
  ~Network();

  // Runs `task` on the thread of this endpoint.
  void RunFor(const std::string& endpoint, Task task);

  void Stop();

 private:
  struct Lane {
    Lane(const egress::Policy& policy, http::Reachability& reachability, metrics::Metrics& metrics,
         const http::EngineOptions& options);
    void Tick(metrics::Metrics& metrics, Progress::Thread& progress);

    boost::asio::io_context loop{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{loop.get_executor()};
    boost::asio::steady_timer timer{loop};
    http::Engine engine;
    Task tick;  // on the first lane only
    std::thread thread;
  };

  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace postcall::dispatch
