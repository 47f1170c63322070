#include "dispatcher/dispatch/network.h"

#include <boost/asio/post.hpp>

namespace postcall::dispatch {
namespace {

constexpr auto kLagInterval = std::chrono::milliseconds(250);

}  // namespace

Network::Lane::Lane(const egress::Policy& policy, metrics::Metrics& metrics,
                    const http::EngineOptions& options)
    : engine(loop, policy, metrics, options) {}

void Network::Lane::MeasureLag(metrics::Metrics& metrics, Pulse::Beat& beat) {
  const SteadyTime due = Steady::now() + kLagInterval;
  lag_timer.expires_at(due);
  lag_timer.async_wait([this, &metrics, &beat, due](boost::system::error_code error) {
    if (error) return;
    const SteadyTime now = Steady::now();
    metrics.loop_lag.Observe(Seconds(now - due));
    beat.Turned(now);
    MeasureLag(metrics, beat);
  });
}

Network::Network(int threads, const egress::Policy& policy, metrics::Metrics& metrics,
                 const http::EngineOptions& options, Pulse& pulse) {
  http::EngineOptions share = options;
  share.max_idle_connections = options.max_idle_connections / static_cast<std::size_t>(threads) + 1;
  for (int i = 0; i < threads; ++i) lanes_.push_back(std::make_unique<Lane>(policy, metrics, share));
  for (const auto& lane : lanes_) {
    lane->MeasureLag(metrics, pulse.Add("network"));
    lane->thread = std::thread([&loop = lane->loop] { loop.run(); });
  }
}

Network::~Network() { Stop(); }

void Network::Post(const std::string& endpoint, Task task) {
  Lane& lane = *lanes_[std::hash<std::string>{}(endpoint) % lanes_.size()];
  boost::asio::post(lane.loop, [&lane, task = std::move(task)] { task(lane.engine); });
}

void Network::Stop() {
  for (const auto& lane : lanes_) lane->loop.stop();
  for (const auto& lane : lanes_) {
    if (lane->thread.joinable()) lane->thread.join();
  }
}

}  // namespace postcall::dispatch
