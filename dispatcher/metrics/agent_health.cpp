#include "dispatcher/metrics/agent_health.h"

#include <functional>

namespace postcall::metrics {
namespace {

constexpr auto kWindow = std::chrono::minutes(10);
constexpr auto kForgetEvery = std::chrono::minutes(1);

}  // namespace

void AgentHealth::Note(const AgentId& agent, bool delivered, SteadyTime now) {
  const MutexLock lock(mutex_);
  // Forgets here as well: without a scrape, memory is still bounded by the agents of ten minutes.
  if (now - forgot_at_ >= kForgetEvery) Forget(now);
  Last& last = agents_[std::hash<AgentId>{}(agent)];
  last.any = now;
  if (delivered) last.delivered = now;
}

AgentHealth::Counts AgentHealth::Count(SteadyTime now) {
  const MutexLock lock(mutex_);
  Forget(now);
  Counts counts{.active = agents_.size(), .failing = 0};
  for (const auto& [agent, last] : agents_) {
    if (!last.delivered || now - *last.delivered > kWindow) ++counts.failing;
  }
  return counts;
}

void AgentHealth::Forget(SteadyTime now) {
  std::erase_if(agents_, [now](const auto& entry) { return now - entry.second.any > kWindow; });
  forgot_at_ = now;
}

}  // namespace postcall::metrics
