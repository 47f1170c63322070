#include "dispatcher/http/engine.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <list>
#include <stdexcept>
#include <utility>

#include "dispatcher/http/attempt.h"
#include "dispatcher/http/ca_store.h"
#include "dispatcher/http/multi.h"
#include "dispatcher/http/resolver.h"
#include "dispatcher/http/socket_watch.h"
#include "dispatcher/http/transfer.h"

namespace postcall::http {
namespace {

// An attempt that is not connected after this time ends, and the next address is tried (CONTRACT §2).
constexpr std::chrono::seconds kConnectLimit{2};

// libcurl walks over all connections of a multi handle once a second. This number is small enough for a short
// walk, and large enough for one busy endpoint.
constexpr std::size_t kConnectionsPerMulti = 256;
constexpr std::size_t kMaxMultis = 64;

// Per loop iteration, so that sockets that are ready do not wait long.
constexpr std::size_t kStartsPerIteration = 64;
constexpr std::size_t kClosesPerIteration = 64;

}  // namespace

void InitialiseLibrary() {
  ::unsetenv("SSLKEYLOGFILE");  // libcurl would write the keys of every TLS session there
  static const CURLcode initialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (initialised != CURLE_OK) throw std::runtime_error("libcurl cannot be initialised");
}

std::string LibraryVersion() { return curl_version_info(CURLVERSION_NOW)->version; }

class Engine::Impl : public std::enable_shared_from_this<Engine::Impl> {
 public:
  Impl(boost::asio::io_context& loop, const egress::Policy& policy, Reachability& reachability,
       metrics::Metrics& metrics, EngineOptions options)
      : options_(std::move(options)),
        loop_(loop),
        timer_(loop),
        watch_(loop),
        authorities_(options_.ca_file),
        resolver_(watch_, options_.name_servers, options_.hosts_file),
        attempts_{policy, authorities_, reachability, options_.response_body_bytes},
        context_{options_,
                 policy,
                 reachability,
                 metrics,
                 resolver_,
                 attempts_,
                 [this](Transfer& transfer) { starting_.push_back(transfer.weak_from_this()); },
                 [this](Transfer& transfer, int attempt) {
                   connecting_.push_back({Steady::now() + kConnectLimit, transfer.weak_from_this(), attempt});
                 },
                 [this](Transfer& transfer) { over_.splice(over_.end(), transfers_, transfer.position); }} {
    const std::size_t count =
        std::clamp<std::size_t>(options_.max_idle_connections / kConnectionsPerMulti, 1, kMaxMultis);
    for (std::size_t i = 0; i < count; ++i) {
      multis_.emplace_back(watch_, std::max<std::size_t>(options_.max_idle_connections / count, 1));
    }
  }

  // Handlers hold only a weak reference, since they may run after the engine is destroyed.
  void Begin() { WaitForSockets(); }

  void Post(PostRequest request, PostDone done, bool rehearsal) {
    Multi& multi = MultiFor(request.url);
    const auto transfer =
        std::make_shared<Transfer>(context_, multi, std::move(request), std::move(done), rehearsal);
    transfer->position = transfers_.insert(transfers_.end(), transfer);
    ++in_flight_;
    transfer->Start();
    IterateSoon();
  }

  void Lookup(const std::string& host, LookupDone done) {
    resolver_.Lookup(host, std::move(done));
    IterateSoon();
  }

  std::size_t in_flight() const { return in_flight_; }

  // The engine is being destroyed, perhaps by a `done`. No other `done` is called.
  void StopCalling() { stopped_ = true; }

 private:
  struct Connecting {
    SteadyTime due;
    std::weak_ptr<Transfer> transfer;
    int attempt;
  };

  Multi& MultiFor(const Url& url) {
    return multis_[(std::hash<std::string>{}(url.host) ^ url.port) % multis_.size()];
  }

  void WaitForSockets() {
    watch_.AsyncWait([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->Iterate();
        self->WaitForSockets();
      }
    });
  }

  void IterateSoon() {
    if (std::exchange(iteration_posted_, true)) return;
    boost::asio::post(loop_, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->iteration_posted_ = false;
        self->Iterate();
      }
    });
  }

  // Does everything that is due, once.
  void Iterate() {
    // Deadlines are checked after each piece of work, so that they hold while the loop is busy.
    watch_.Dispatch([this] { EndOverdue(); });
    // At most as many are closed as may start, so that no more descriptors are in use than POSTs in flight.
    for (std::size_t i = 0; i < kClosesPerIteration && !closing_.empty(); ++i) {
      closing_.pop_front();
      EndOverdue();
    }
    for (std::size_t i = 0; i < kStartsPerIteration && !starting_.empty(); ++i) {
      const auto transfer = starting_.front().lock();
      starting_.pop_front();
      if (transfer) transfer->StartAttempt();
      EndOverdue();
    }
    for (Multi& multi : multis_) {
      if (multi.due() <= Steady::now()) multi.OnDue();
      EndOverdue();
    }
    resolver_.OnDue(Steady::now());
    while (!connecting_.empty() && connecting_.front().due <= Steady::now()) {
      const Connecting slow = std::move(connecting_.front());
      connecting_.pop_front();
      if (const auto transfer = slow.transfer.lock()) transfer->OnSlowConnect(slow.attempt);
    }
    CloseStale();
    SetTimer();
    CallDone();
  }

  void EndOverdue() {
    // All transfers have the same timeout, so the list is in the order of their deadlines.
    while (!transfers_.empty() && transfers_.front()->deadline() <= Steady::now()) {
      transfers_.front()->OnDeadline();
    }
  }

  void CloseStale() {
    // One multi handle per iteration: closing many TLS sessions takes time.
    const SteadyTime now = Steady::now();
    for (Multi& multi : multis_) {
      if (multi.stale_at() <= now) return multi.CloseStale();
    }
  }

  void SetTimer() {
    if (!starting_.empty() || !closing_.empty()) return IterateSoon();
    SteadyTime due = resolver_.due();
    if (!transfers_.empty()) due = std::min(due, transfers_.front()->deadline());
    if (!connecting_.empty()) due = std::min(due, connecting_.front().due);
    for (const Multi& multi : multis_) due = std::min({due, multi.due(), multi.stale_at()});
    if (due <= Steady::now()) return IterateSoon();
    if (due >= timer_at_) return;  // the timer fires earlier, and is set again then
    timer_at_ = due;
    timer_.expires_at(due);
    timer_.async_wait([weak = weak_from_this(), due](boost::system::error_code error) {
      const auto self = weak.lock();
      if (error || !self) return;
      if (self->timer_at_ == due) self->timer_at_ = SteadyTime::max();
      self->Iterate();
    });
  }

  // Last in an iteration, because a `done` may call Post. A transfer that ends during these calls waits for
  // the next iteration.
  void CallDone() {
    for (auto over = std::exchange(over_, {}); !over.empty() && !stopped_; over.pop_front()) {
      --in_flight_;
      over.front()->CallDone();
      if (over.front()->is_closing()) closing_.push_back(std::move(over.front()));
    }
    if (!over_.empty() || !closing_.empty()) IterateSoon();
  }

  const EngineOptions options_;
  boost::asio::io_context& loop_;
  boost::asio::steady_timer timer_;
  SteadyTime timer_at_ = SteadyTime::max();
  bool iteration_posted_ = false;
  std::size_t in_flight_ = 0;
  bool stopped_ = false;

  // Destroyed in the reverse order: transfers, then the handles, then what the callbacks of the handles use.
  SocketWatch watch_;
  CaStore authorities_;
  Resolver resolver_;
  AttemptContext attempts_;
  TransferContext context_;
  std::deque<Multi> multis_;
  std::deque<std::weak_ptr<Transfer>> starting_;
  std::deque<Connecting> connecting_;
  using Transfers = std::list<std::shared_ptr<Transfer>>;
  Transfers transfers_;  // in flight, oldest first
  Transfers over_;       // their `done` is still to be called
  Transfers closing_;    // their connection is still to be closed
};

Engine::Engine(boost::asio::io_context& loop, const egress::Policy& policy, Reachability& reachability,
               metrics::Metrics& metrics, EngineOptions options) {
  InitialiseLibrary();
  impl_ = std::make_shared<Impl>(loop, policy, reachability, metrics, std::move(options));
  impl_->Begin();
}

Engine::~Engine() { impl_->StopCalling(); }

void Engine::Post(PostRequest request, PostDone done) {
  impl_->Post(std::move(request), std::move(done), false);
}

void Engine::Rehearse(PostRequest request, PostDone done) {
  impl_->Post(std::move(request), std::move(done), true);
}

void Engine::Lookup(const std::string& host, LookupDone done) { impl_->Lookup(host, std::move(done)); }

std::size_t Engine::in_flight() const { return impl_->in_flight(); }

}  // namespace postcall::http
