#include "dispatcher/http/transfer.h"

#include <new>

#include "dispatcher/http/verdict.h"

namespace postcall::http {

Transfer::Transfer(TransferContext& context, PostRequest request, PostDone done, bool rehearsal)
    : context_(context),
      request_(std::move(request)),
      done_(std::move(done)),
      rehearsal_(rehearsal),
      multi_(context.multi_for(request_.url)),
      started_(Steady::now()),
      deadline_(started_ + context.options.timeout) {}

Transfer::~Transfer() { EndAttempt(); }

void Transfer::Start() {
  const std::string& host = request_.url.host;
  boost::system::error_code not_an_address;
  const auto literal = boost::asio::ip::make_address(host, not_an_address);
  if (!not_an_address) return OnAddresses({literal});
  if (const Addresses* known = context_.resolver.Cached(host)) return OnAddresses(*known);

  context_.resolver.Lookup(host, [weak = weak_from_this()](const LookupResult& lookup) {
    const auto self = weak.lock();
    if (!self || self->over_) return;  // time was up before
    self->looked_up_at_ = Steady::now();
    if (lookup.addresses.empty()) {
      self->End(JudgeLookup(lookup));
    } else {
      self->OnAddresses(lookup.addresses);
    }
  });
}

void Transfer::OnAddresses(const Addresses& addresses) {
  // One forbidden address forbids the name: whoever answers for it cannot be trusted with the others
  // (CONTRACT §6).
  for (const auto& address : addresses) {
    if (!context_.policy.Allows(address)) return End(JudgeBlocked());
  }
  untried_.assign(addresses.rbegin(), addresses.rend());
  context_.start_soon(*this);
}

void Transfer::StartAttempt() {
  if (over_) return;
  const auto address = untried_.back();
  untried_.pop_back();
  ++attempts_;
  try {
    attempt_ = std::make_unique<Attempt>(context_.attempts, *this, request_, address,
                                         Attempt::Manner{rehearsal_, fresh_connection_});
    fresh_connection_ = false;
    running_ = multi_.Add(*attempt_);
  } catch (const std::bad_alloc&) {
    attempt_.reset();
  }
  if (!running_) return End(JudgeFault(LocalFault::kMemory));
  if (!untried_.empty()) context_.limit_connect(*this, attempts_);
  multi_.OnDue();  // the attempt may be over by then, and the transfer, too
  if (running_) attempt_->LookAtWire();
}

void Transfer::EndAttempt() {
  if (running_) multi_.Remove(*attempt_);
  running_ = false;
}

void Transfer::OnAttemptOver(CURLcode code) {
  EndAttempt();
  if (over_) return;
  const Seen& seen = attempt_->seen();
  if (Steady::now() >= deadline_) return OnDeadline();
  // It could not be sent in time any more, so the deadline is near, and ends it.
  if (seen.too_late) return;
  if (seen.stale) {
    untried_.push_back(attempt_->address());
    fresh_connection_ = true;
    return context_.start_soon(*this);
  }

  PostResult verdict = JudgeEnd(*attempt_, code);
  if (rehearsal_ && seen.ready_at) verdict = JudgeRehearsal(*attempt_);
  // Only what failed before the request was sent, through no fault of ours or of the policy.
  const bool failed_early =
      verdict.result.outcome == Outcome::kConnectError || verdict.result.outcome == Outcome::kTlsError;
  if (failed_early && !untried_.empty()) {
    context_.resolver.MoveToBack(request_.url.host, attempt_->address());
    KeepFurthest(std::move(verdict));
    return context_.start_soon(*this);
  }
  if (failed_early && furthest_) {
    KeepFurthest(std::move(verdict));
    attempt_ = std::move(furthest_->attempt);
    verdict = std::move(furthest_->verdict);
  }
  End(std::move(verdict));
}

// Which address fails last is chance; the one that let us come furthest tells what is wrong.
void Transfer::KeepFurthest(PostResult verdict) {
  if (furthest_ && furthest_->verdict.result.reached > verdict.result.reached) return;
  furthest_ = Failure{std::move(attempt_), std::move(verdict)};
}

void Transfer::OnSlowConnect(int attempt) {
  if (attempt != attempts_ || !running_ || over_ || attempt_->connected()) return;
  EndAttempt();
  context_.resolver.MoveToBack(request_.url.host, attempt_->address());
  context_.start_soon(*this);
}

void Transfer::OnDeadline() {
  if (running_) attempt_->LookAtWire();
  if (attempt_) attempt_->Abandon();
  const auto step = running_                             ? TimeoutIn::kAttempt
                    : attempts_ == 0 && untried_.empty() ? TimeoutIn::kLookup
                                                         : TimeoutIn::kWait;
  if (!attempt_ && furthest_) attempt_ = std::move(furthest_->attempt);
  End(JudgeTimeout(attempt_.get(), step, context_.options.timeout));
}

void Transfer::End(PostResult result) {
  result.result.times = Times(Steady::now());
  if (attempt_) {
    const Seen& seen = attempt_->seen();
    if (seen.sent_at) {
      result.result.request_bytes = static_cast<std::int64_t>(request_.body.size());
      (seen.connection_reused ? context_.metrics.connections_reused : context_.metrics.connections_new)
          .Increment();
    }
    if (seen.second_send) context_.metrics.resend_guard.Increment();
  }
  result_ = std::move(result);
  over_ = true;
  context_.over(*this);
}

PhaseTimes Transfer::Times(SteadyTime now) const {
  PhaseTimes times;
  times.total = Milliseconds(now - started_);
  if (looked_up_at_) times.lookup = Milliseconds(*looked_up_at_ - started_);
  if (!attempt_) return times;
  const Seen& seen = attempt_->seen();
  if (seen.connected_at) {
    times.connect = Milliseconds(*seen.connected_at - looked_up_at_.value_or(started_));
    if (seen.ready_at && request_.url.scheme == "https") {
      times.tls = Milliseconds(*seen.ready_at - *seen.connected_at);
    }
  }
  if (seen.first_byte_at && seen.sent_at) {
    times.first_byte = Milliseconds(*seen.first_byte_at - *seen.sent_at);
  }
  return times;
}

}  // namespace postcall::http
