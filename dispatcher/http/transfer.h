// The life of one POST: look up, vet, try one address after the other until the request is sent, judge. What
// time does to it, the engine decides. One thread, the loop's.
#pragma once

#include <functional>
#include <list>
#include <memory>

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
  metrics::Metrics& metrics;
  Resolver& resolver;
  AttemptContext& attempts;
  std::function<Multi&(const Url&)> multi_for;
  // StartAttempt is called soon: one by one, so that many at once make nobody late.
  std::function<void(Transfer&)> start_soon;
  // The attempt has 2 s to connect, then OnSlowConnect is called.
  std::function<void(Transfer&, int attempt)> limit_connect;
  // Takes the transfer out of the engine's table. Its `done` is called later.
  std::function<void(Transfer&)> over;
};

class Transfer : public std::enable_shared_from_this<Transfer> {
 public:
  Transfer(TransferContext& context, PostRequest request, PostDone done, bool rehearsal);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  void Start();
  void StartAttempt();
  SteadyTime deadline() const { return deadline_; }

  // libcurl is done with the attempt.
  void OnAttemptOver(CURLcode code);
  // The n-th attempt was to be connected by now; it may be over.
  void OnSlowConnect(int attempt);
  void OnDeadline();

  // Where the engine keeps it.
  std::list<std::shared_ptr<Transfer>>::iterator place;

  // The last thing that happens.
  void CallDone() { done_(std::move(result_)); }
  // Its connection is still to be closed, by the destructor. A TLS session takes 0.2 ms: too long for two
  // thousand deadlines at once.
  bool closing() const { return running_; }

 private:
  struct Failure {
    std::unique_ptr<Attempt> attempt;
    PostResult verdict;
  };

  void OnAddresses(const Addresses& addresses);
  void EndAttempt();
  void KeepFurthest(PostResult verdict);
  void End(PostResult result);
  PhaseTimes Times(SteadyTime now) const;

  TransferContext& context_;
  PostRequest request_;
  PostDone done_;
  const bool rehearsal_;
  Multi& multi_;
  const SteadyTime started_;
  const SteadyTime deadline_;
  std::optional<SteadyTime> looked_up_at_;  // none when there was nothing to look up
  Addresses untried_;                       // the next one last
  bool fresh_connection_ = false;           // the kept connections to the next address are not to be trusted
  std::unique_ptr<Attempt> attempt_;
  std::optional<Failure> furthest_;  // of the attempts before, while all of them failed
  int attempts_ = 0;
  bool running_ = false;  // libcurl has the attempt
  bool over_ = false;
  PostResult result_;
};

}  // namespace postcall::http
