#include "tests/support/request_ledger.h"

#include <boost/algorithm/string/predicate.hpp>

namespace postcall::test {

std::optional<std::string> RequestEntry::Header(const std::string& name) const {
  for (const auto& [held, value] : headers) {
    if (boost::algorithm::iequals(held, name)) return value;
  }
  return std::nullopt;
}

RequestLedger::Requested RequestLedger::Requests() const {
  const std::scoped_lock lock(mutex_);
  return requests_;
}

RequestLedger::Connected RequestLedger::Connections() const {
  const std::scoped_lock lock(mutex_);
  return connections_;
}

std::size_t RequestLedger::RequestCount() const {
  const std::scoped_lock lock(mutex_);
  return requests_.size();
}

std::size_t RequestLedger::ConnectionCount() const {
  const std::scoped_lock lock(mutex_);
  return connections_.size();
}

std::map<std::string, std::size_t> RequestLedger::RequestsPerCall() const {
  const std::scoped_lock lock(mutex_);
  std::map<std::string, std::size_t> counts;
  for (const RequestEntry& request : requests_) ++counts[request.call_id];
  return counts;
}

bool RequestLedger::WaitFor(const std::function<bool(const Requested&, const Connected&)>& done,
                            std::chrono::milliseconds limit) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [&] { return done(requests_, connections_); });
}

bool RequestLedger::WaitForRequests(std::size_t count, std::chrono::milliseconds limit) const {
  return WaitFor(
      [count](const Requested& requests, const Connected&) {
        if (requests.size() < count) return false;
        std::size_t complete = 0;
        for (const RequestEntry& request : requests) complete += request.complete ? 1 : 0;
        return complete >= count;
      },
      limit);
}

std::size_t RequestLedger::AddConnection(std::string from) {
  const std::scoped_lock lock(mutex_);
  ConnectionEntry& entry = connections_.emplace_back();
  entry.number = connections_.size() - 1;
  entry.accepted_at = Steady::now();
  entry.from = std::move(from);
  changed_.notify_all();
  return entry.number;
}

std::size_t RequestLedger::AddRequest(RequestEntry entry) {
  const std::scoped_lock lock(mutex_);
  entry.number = requests_.size();
  requests_.push_back(std::move(entry));
  changed_.notify_all();
  return requests_.size() - 1;
}

void RequestLedger::ChangeConnection(std::size_t number,
                                     const std::function<void(ConnectionEntry&)>& change) {
  const std::scoped_lock lock(mutex_);
  change(connections_.at(number));
  changed_.notify_all();
}

void RequestLedger::ChangeRequest(std::size_t number, const std::function<void(RequestEntry&)>& change) {
  const std::scoped_lock lock(mutex_);
  change(requests_.at(number));
  changed_.notify_all();
}

}  // namespace postcall::test
