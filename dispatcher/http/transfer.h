// The life of one POST: look up the name, check the addresses, try one after the other until the request is
// sent, judge the result. The engine calls it when a time has come. One thread, the loop's.
//
//             addresses           libcurl has             libcurl is done,
//              allowed            the attempt             or it is too slow
//    kLookup ----------> kQueued -------------> kAttempting -------------> kAttempted
//       |                 |   ^                      |                      |    |
//       |                 |   +----------------------|----------------------+    |
//       |                 |         next address     | deadline                  |
//       |                 |                          v                           | verdict or
//       |                 |                       kClosing                       | deadline
//       |                 |                          | libcurl is done           |
//       v                 v                          v                           v
//     kOver <--------------------------------------------------------------------+
//
// When the connection was ready too late to send the request, the transfer stays kAttempted until the
// deadline.
#pragma once

#include <array>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "common/state_machine.h"
#include "dispatcher/egress/policy.h"
#include "dispatcher/http/attempt.h"
#include "dispatcher/http/engine.h"
#include "dispatcher/http/multi.h"
#include "dispatcher/http/post.h"
#include "dispatcher/http/resolver.h"
#include "dispatcher/metrics/metrics.h"

namespace postcall::http {

// What the transfers of one engine share.
struct TransferContext {
  const EngineOptions& options;
  const egress::Policy& policy;
  Reachability& reachability;
  metrics::Metrics& metrics;
  Resolver& resolver;
  AttemptContext& attempts;
  // StartAttempt is called soon. Starts are spread, so that many at once do not delay other work.
  std::function<void(Transfer&)> start_soon;
  // The attempt has 2 s to connect, then OnSlowConnect is called.
  std::function<void(Transfer&, int attempt)> limit_connect;
  // Takes the transfer out of the engine's table. CallDone is called later.
  std::function<void(Transfer&)> over;
};

class Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  enum class State {
    kLookup,      // the addresses are not known yet
    kQueued,      // an address waits for its attempt
    kAttempting,  // libcurl has the attempt
    kAttempted,   // the attempt is over: it is being judged, or it can only wait for the deadline
    kClosing,     // the result is known, but libcurl still has the attempt, whose connection must be closed
    kOver,        // the result is known
  };
  static constexpr std::array kTransitions = {
      Transition{State::kLookup, State::kQueued},        Transition{State::kLookup, State::kOver},
      Transition{State::kQueued, State::kAttempting},    Transition{State::kQueued, State::kOver},
      Transition{State::kAttempting, State::kAttempted}, Transition{State::kAttempting, State::kClosing},
      Transition{State::kAttempted, State::kQueued},     Transition{State::kAttempted, State::kOver},
      Transition{State::kClosing, State::kOver},
  };

  // `multi` keeps the connections to the host of `request`.
  Transfer(TransferContext& context, Multi& multi, PostRequest request, PostDone done, bool rehearsal);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  void Start();
  void StartAttempt();
  SteadyTime deadline() const { return deadline_; }

  // libcurl is done with the attempt.
  void OnAttemptOver(CURLcode code);
  // The time for the n-th attempt to connect is over. The attempt itself may be over, too.
  void OnSlowConnect(int attempt);
  void OnDeadline();

  // Its position in the engine's table.
  std::list<std::shared_ptr<Transfer>>::iterator position;

  // The last call of a transfer's life.
  void CallDone() { done_(std::move(result_)); }
  // The destructor still has to close the connection. For a TLS session that takes 0.2 ms, which is too long
  // for two thousand deadlines at once.
  bool is_closing() const { return state_.Is(State::kClosing); }

 private:
  // An attempt that failed, and what the log would say about it.
  struct Failure {
    AttemptFacts attempt;
    PostResult verdict;
  };

  void OnLookup(const LookupResult& lookup);
  void OnAddresses(const Addresses& addresses);
  void Queue();
  void TakeFromLibcurl();
  void NoteSign(NetworkSign sign);
  void KeepFurthest(PostResult verdict);
  void End(PostResult result);
  PhaseTimes Times(SteadyTime now) const;

  TransferContext& context_;
  Multi& multi_;
  PostRequest request_;
  PostDone done_;
  const bool rehearsal_;
  const SteadyTime started_;
  const SteadyTime deadline_;
  StateMachine<kTransitions> state_{State::kLookup};
  std::optional<SteadyTime> looked_up_at_;  // no value when there was nothing to look up
  Addresses untried_;                       // the next one is the last element
  bool fresh_connection_ = false;           // the next attempt must not use a kept connection
  int attempts_ = 0;
  std::unique_ptr<Attempt> attempt_;  // while libcurl has it: kAttempting and kClosing
  std::optional<AttemptFacts> last_;  // of the previous attempt, until the next one begins
  std::optional<Failure> furthest_;   // of the previous attempts, while all of them failed
  std::optional<NetworkSign> sign_;   // of all attempts together; no value before the first is over
  PostResult result_;
};

}  // namespace postcall::http
