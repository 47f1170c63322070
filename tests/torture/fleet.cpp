#include "tests/torture/fleet.h"

#include <sys/resource.h>

#include <csignal>
#include <system_error>
#include <utility>

namespace postcall::test {
namespace {

constexpr auto kStopWithin = std::chrono::seconds(11);

std::string WithName(const std::string& url, const std::string& name) {
  return url + (url.find('?') == std::string::npos ? "?" : "&") + "application_name=" + name;
}

}  // namespace

Fleet::Fleet(std::vector<std::string> urls, std::vector<std::string> arguments)
    : arguments_(std::move(arguments)) {
  for (std::string& url : urls) slots_.emplace_back().url = std::move(url);
}

void Fleet::Start(std::size_t slot) {
  Slot& made = slots_.at(slot);
  made.label = "d" + std::to_string(slot) + "-" + std::to_string(++started_);
  ServiceOptions options{.arguments = {"--database-url", WithName(made.url, made.label), "--admin-listen",
                                       "127.0.0.1:0", "--instance", made.label},
                         .environment = std::exchange(made.next_environment, {})};
  options.arguments.insert(options.arguments.end(), arguments_.begin(), arguments_.end());
  auto service = std::make_unique<Service>(std::move(options));
  const std::lock_guard lock(mutex_);
  made.stopped = made.killed = false;
  made.terminated_at = SteadyTime::max();
  made.service = std::move(service);
}

void Fleet::KillFrom(std::size_t slot) {
  const std::lock_guard lock(mutex_);
  Slot& victim = slots_.at(slot);
  if (!victim.service || victim.killed) return;
  victim.killed = true;
  victim.service->Signal(SIGKILL);
}

void Fleet::Freeze(std::size_t slot) {
  slots_.at(slot).stopped = true;
  frozen_.insert(slots_.at(slot).label);
  slots_.at(slot).service->Signal(SIGSTOP);
}

void Fleet::Thaw(std::size_t slot) {
  slots_.at(slot).stopped = false;
  if (slots_.at(slot).service) slots_.at(slot).service->Signal(SIGCONT);
}

void Fleet::Terminate(std::size_t slot) {
  slots_.at(slot).terminated_at = Steady::now();
  slots_.at(slot).service->Signal(SIGTERM);
}

bool Fleet::Starve(std::size_t slot, unsigned more) {
  const Service& service = *slots_.at(slot).service;
  if (!service.WaitForLog("connected to the database", std::chrono::milliseconds(0))) return false;
  try {
    service.Limit(RLIMIT_NOFILE, service.Descriptors() + more);
  } catch (const std::system_error&) {
    return false;  // it was killed at this moment
  }
  return true;
}

bool Fleet::Feed(std::size_t slot) {
  if (!HasService(slot)) return false;
  const Service& service = *slots_.at(slot).service;
  try {
    service.Limit(RLIMIT_NOFILE, RLIM_INFINITY);
  } catch (const std::system_error&) {
    return false;
  }
  return service.log().find("requeueing a delivery") != std::string::npos;
}

void Fleet::StartNextWith(std::size_t slot, std::map<std::string, std::string> environment) {
  slots_.at(slot).next_environment = std::move(environment);
}

void Fleet::Reap() {
  const std::lock_guard lock(mutex_);
  for (Slot& slot : slots_) {
    if (!slot.service) continue;
    if (const std::optional<int> code = slot.service->Wait(std::chrono::milliseconds(0))) {
      Ended(slot, *code);
      slot.service.reset();
    } else if (slot.terminated_at != SteadyTime::max() && !slot.stopped && !slot.killed &&
               Steady::now() - slot.terminated_at > kStopWithin) {
      surprises_.push_back(slot.label + " did not stop within 11 s of SIGTERM");
      slot.terminated_at = SteadyTime::max();
    }
  }
}

void Fleet::Ended(Slot& slot, int code) {
  const Gone gone{slot.label, Steady::now(), std::chrono::system_clock::now()};
  if (slot.killed && code == 128 + SIGKILL) {
    ++kills_;
    uncounted_.push_back(gone);
  } else if (slot.terminated_at != SteadyTime::max() && code == 0) {
    ++drains_;
    uncounted_.push_back(gone);  // 0 rows if it could reach the database
  } else if (slot.terminated_at != SteadyTime::max() && code == 1) {
    uncounted_.push_back(gone);  // it printed the outcomes
    unrecorded_.push_back({slot.label, slot.terminated_at, slot.service->log()});
  } else {
    surprises_.push_back(slot.label + " ended by itself with code " + std::to_string(code) + ":\n" +
                         slot.service->log());
  }
}

std::vector<Fleet::Gone> Fleet::TakeUncounted(SteadyTime before) {
  std::vector<Gone> due;
  std::erase_if(uncounted_, [&](const Gone& gone) {
    if (gone.at >= before) return false;
    due.push_back(gone);
    return true;
  });
  return due;
}

}  // namespace postcall::test
