// Tells an outage of our own network from endpoints that fail (CONTRACT §2, "Our own network down"). A
// delivery whose failure may be ours is kept for a moment, until others have shown which of the two it is.
// The dispatcher carries out what it decides. Any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/mutex.h"
#include "dispatcher/dispatch/claimed_delivery.h"
#include "dispatcher/http/post.h"
#include "dispatcher/http/reachability.h"

namespace postcall::dispatch {

// A delivery that failed before a byte was sent, and when.
struct FailedDelivery {
  ClaimedDeliveryPtr delivery;
  http::PostResult post;
  SteadyTime failed_at;
};

class NetworkWatch {
 public:
  // The network is down when this many endpoints fail and none is reached.
  static constexpr std::size_t kEndpoints = 3;
  // How long a failure is kept when nothing decides it; after that it counts as the endpoint's.
  static constexpr Steady::duration kKeepFor = std::chrono::seconds(3);
  // How long the network has, after the first failure, to show that it works.
  static constexpr Steady::duration kGrace = std::chrono::milliseconds(250);
  static constexpr Steady::duration kGraceOfNames = std::chrono::seconds(1);
  // Silence counts against the network only where this endpoint was reached within that time: customers'
  // firewalls drop packets, too.
  static constexpr Steady::duration kKnownFor = std::chrono::hours(1);

  explicit NetworkWatch(const http::Reachability& reachability) : reachability_(reachability) {}

  // To be called for each delivery that reached its endpoint.
  void NoteReached(const std::string& endpoint, SteadyTime now);

  // True when the failure may be our network's: then hand it to Keep.
  bool MayBeOurs(const std::string& endpoint, const http::PostResult& post, SteadyTime now) const;
  void Keep(FailedDelivery failed);

  struct Found {
    std::vector<FailedDelivery> endpoints;  // their failures are the endpoints' own
    std::vector<FailedDelivery> networks;   // our network is down: these deliveries are requeued
    std::vector<FailedDelivery> sources;  // the network is up, but a source address is missing: requeued, too
    std::vector<FailedDelivery> undecided;  // the dispatcher stops before it is known: requeued, too
    bool went_down = false;
    bool came_up = false;
  };
  // Returns what is decided by now. To be called after each Keep, and a few times per second.
  Found Decide(SteadyTime now);

  // Why the network is down, one sentence; none while it is up.
  std::optional<std::string> fault() const;

  // A name whose lookup decides why name lookups fail; empty when none fails or no name is known.
  std::string NameToAskFor() const;

  // The dispatcher stops: from now on, what is undecided is requeued at once, because nothing was sent.
  void StopKeeping();

 private:
  static void Acquit(FailedDelivery failed, Found& found);
  bool IsDisproved(const FailedDelivery& failed) const;
  bool IsDown(SteadyTime now) const REQUIRES(mutex_);
  void ForgetUnknown(SteadyTime now) REQUIRES(mutex_);

  const http::Reachability& reachability_;
  mutable Mutex mutex_;
  std::vector<FailedDelivery> kept_ GUARDED_BY(mutex_);  // oldest first
  std::unordered_map<std::string, SteadyTime> reached_ GUARDED_BY(mutex_);
  std::size_t forget_at_ GUARDED_BY(mutex_) = 1024;
  std::string fault_ GUARDED_BY(mutex_);  // empty while the network is up
  SteadyTime down_since_ GUARDED_BY(mutex_);
  bool names_failed_ GUARDED_BY(mutex_) =
      false;  // it is down because of the name servers, and an answer of theirs ends it, too
  bool keeps_ GUARDED_BY(mutex_) = true;
};

}  // namespace postcall::dispatch
