#include "dispatcher/dispatch/network_watch.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace postcall::dispatch {
namespace {

using http::NetworkSign;

// For a failure that took long, an answer in this last part of it shows, too, that the network was up.
constexpr auto kSilenceEndsWithin = std::chrono::seconds(1);

std::string FaultSentence(NetworkSign sign) {
  switch (sign) {
    case NetworkSign::kNone:
      break;
    case NetworkSign::kNoRoute:
      return "the network is down: there is no route to any endpoint";
    case NetworkSign::kNoSource:
      return "the network is down: this machine does not have its source address (--source-address)";
    case NetworkSign::kNoNameServer:
      return "the network is down: no name server resolves the name of any endpoint";
    case NetworkSign::kSilence:
      return "the network is down: none of the endpoints that were reached before answers";
  }
  return "";
}

// An answer from this time on shows that this failure was not the network's.
SteadyTime AnswerCountsFrom(const FailedDelivery& failed) {
  if (failed.post.sign == NetworkSign::kNoRoute || failed.post.sign == NetworkSign::kNoSource)
    return failed.failed_at;
  const auto took = std::chrono::duration_cast<Steady::duration>(
      std::chrono::duration<double, std::milli>(failed.post.result.times.total));
  return failed.failed_at - std::min<Steady::duration>(took, kSilenceEndsWithin);
}

}  // namespace

void NetworkWatch::NoteReached(const std::string& endpoint, SteadyTime now) {
  const MutexLock lock(mutex_);
  reached_[endpoint] = now;
  if (reached_.size() >= forget_at_) ForgetUnknown(now);
}

bool NetworkWatch::MayBeOurs(const std::string& endpoint, const http::PostResult& post,
                             SteadyTime now) const {
  const MutexLock lock(mutex_);
  switch (post.sign) {
    case NetworkSign::kNone:
      return false;
    case NetworkSign::kNoRoute:
    case NetworkSign::kNoSource:
    case NetworkSign::kNoNameServer:
      return true;
    case NetworkSign::kSilence: {
      if (!fault_.empty()) return true;
      const auto reached = reached_.find(endpoint);
      return reached != reached_.end() && now - reached->second < kKnownFor;
    }
  }
  return false;
}

void NetworkWatch::Keep(FailedDelivery failed) {
  const MutexLock lock(mutex_);
  kept_.push_back(std::move(failed));
}

NetworkWatch::Found NetworkWatch::Decide(SteadyTime now) {
  Found found;
  const MutexLock lock(mutex_);
  if (!fault_.empty() && (reachability_.answered_at() > down_since_ ||
                          (names_failed_ && reachability_.name_server_answered_at() > down_since_))) {
    fault_.clear();
    found.came_up = true;
  }
  std::erase_if(kept_, [&](FailedDelivery& failed) {
    if (!IsDisproved(failed)) return false;
    Acquit(std::move(failed), found);
    return true;
  });
  if (fault_.empty() && IsDown(now)) {
    fault_ = FaultSentence(kept_.front().post.sign);
    down_since_ = now;
    names_failed_ = kept_.front().post.sign == NetworkSign::kNoNameServer;
    found.went_down = true;
  }
  if (!fault_.empty() || !keeps_) {
    (fault_.empty() ? found.undecided : found.networks) = std::exchange(kept_, {});
    return found;
  }
  std::erase_if(kept_, [&](FailedDelivery& failed) {
    if (now - failed.failed_at < kKeepFor) return false;
    Acquit(std::move(failed), found);
    return true;
  });
  return found;
}

// The network as a whole is not the reason.
void NetworkWatch::Acquit(FailedDelivery failed, Found& found) {
  (failed.post.sign == NetworkSign::kNoSource ? found.sources : found.endpoints).push_back(std::move(failed));
}

// A name server that answers is asked for a name that it knows (NameToAskFor). Where there is such a name,
// only name servers can disprove that they fail, because endpoints whose names are cached are still reached.
bool NetworkWatch::IsDisproved(const FailedDelivery& failed) const {
  const SteadyTime from = AnswerCountsFrom(failed);
  const bool of_names = failed.post.sign == NetworkSign::kNoNameServer;
  if (of_names && reachability_.name_server_answered_at() >= from) return true;
  if (of_names && !reachability_.known_name().empty()) return false;
  return reachability_.answered_at() >= from;
}

bool NetworkWatch::IsDown(SteadyTime now) const {
  std::unordered_set<std::string_view> endpoints;
  for (const FailedDelivery& failed : kept_) endpoints.insert(failed.delivery->destination->endpoint);
  if (endpoints.size() < kEndpoints) return false;
  const FailedDelivery& first = kept_.front();
  const bool of_names = first.post.sign == NetworkSign::kNoNameServer;
  return now - first.failed_at >= (of_names ? kGraceOfNames : kGrace);
}

std::optional<std::string> NetworkWatch::fault() const {
  const MutexLock lock(mutex_);
  return fault_.empty() ? std::nullopt : std::optional(fault_);
}

std::string NetworkWatch::NameToAskFor() const {
  const MutexLock lock(mutex_);
  const bool names_fail = std::ranges::any_of(
      kept_, [](const FailedDelivery& failed) { return failed.post.sign == NetworkSign::kNoNameServer; });
  return names_fail ? reachability_.known_name() : "";
}

void NetworkWatch::StopKeeping() {
  const MutexLock lock(mutex_);
  keeps_ = false;
}

void NetworkWatch::ForgetUnknown(SteadyTime now) {
  std::erase_if(reached_, [&](const auto& entry) { return now - entry.second >= kKnownFor; });
  forget_at_ = std::max<std::size_t>(1024, 2 * reached_.size());
}

}  // namespace postcall::dispatch
