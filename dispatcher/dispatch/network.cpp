#include "dispatcher/dispatch/network.h"

#include <boost/asio/post.hpp>
#include <functional>
#include <utility>

namespace postcall::dispatch {
namespace {

constexpr auto kTick = std::chrono::milliseconds(250);

}  // namespace

Network::Lane::Lane(const egress::Policy& policy, http::Reachability& reachability, metrics::Metrics& metrics,
                    const http::EngineOptions& options)
    : engine(loop, policy, reachability, metrics, options) {}

void Network::Lane::Tick(metrics::Metrics& metrics, Progress::Thread& progress) {
  const SteadyTime due = Steady::now() + kTick;
  timer.expires_at(due);
  timer.async_wait([this, &metrics, &progress, due](boost::system::error_code error) {
    if (error) return;
    const SteadyTime now = Steady::now();
    metrics.loop_lag.Observe(Seconds(now - due));
    progress.Note(now);
    if (tick) tick(engine);
    Tick(metrics, progress);
  });
}

Network::Network(int threads, const egress::Policy& policy, http::Reachability& reachability,
                 metrics::Metrics& metrics, const http::EngineOptions& options, Progress& progress,
                 Task tick) {
  http::EngineOptions share = options;
  share.max_idle_connections = options.max_idle_connections / static_cast<std::size_t>(threads) + 1;
  for (int i = 0; i < threads; ++i)
    lanes_.push_back(std::make_unique<Lane>(policy, reachability, metrics, share));
  lanes_.front()->tick = std::move(tick);
  for (const auto& lane : lanes_) {
    lane->Tick(metrics, progress.Add("network"));
    lane->thread = std::thread([&loop = lane->loop] { loop.run(); });
  }
}

Network::~Network() { Stop(); }

void Network::RunFor(const std::string& endpoint, Task task) {
  Lane& lane = *lanes_[std::hash<std::string>{}(endpoint) % lanes_.size()];
  boost::asio::post(lane.loop, [&lane, task = std::move(task)]() mutable { task(lane.engine); });
}

void Network::Stop() {
  for (const auto& lane : lanes_) lane->loop.stop();
  for (const auto& lane : lanes_) {
    if (lane->thread.joinable()) lane->thread.join();
  }
}

}  // namespace postcall::dispatch
