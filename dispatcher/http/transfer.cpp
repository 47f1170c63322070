#include "dispatcher/http/transfer.h"

#include <cerrno>
#include <cstdint>
#include <new>
#include <string>

#include "dispatcher/http/verdict.h"

namespace postcall::http {

Transfer::Transfer(TransferContext& context, Multi& multi, PostRequest request, PostDone done, bool rehearsal)
    : context_(context),
      multi_(multi),
      request_(std::move(request)),
      done_(std::move(done)),
      rehearsal_(rehearsal),
      started_(Steady::now()),
      deadline_(started_ + context.options.timeout) {}

Transfer::~Transfer() {
  if (attempt_) multi_.Remove(*attempt_);
}

void Transfer::Start() {
  const std::string& host = request_.url.host;
  boost::system::error_code not_an_address;
  const auto literal = boost::asio::ip::make_address(host, not_an_address);
  if (!not_an_address) return OnAddresses({literal});
  if (const Addresses* known = context_.resolver.Cached(host)) return OnAddresses(*known);

  context_.resolver.Lookup(host, [weak = weak_from_this()](const LookupResult& lookup) {
    const auto self = weak.lock();
    if (self && self->state_.Is(State::kLookup)) self->OnLookup(lookup);  // otherwise the deadline came first
  });
}

void Transfer::OnLookup(const LookupResult& lookup) {
  looked_up_at_ = Steady::now();
  const bool found = !lookup.addresses.empty();
  if (!lookup.pinned &&
      (found || lookup.failure == LookupFailure::kNotFound || lookup.failure == LookupFailure::kNoAddress))
    context_.reachability.NoteNameServer(request_.url.host, found, *looked_up_at_);
  if (!found) return End(JudgeLookup(lookup));
  OnAddresses(lookup.addresses);
}

void Transfer::OnAddresses(const Addresses& addresses) {
  // One forbidden address forbids the name, because the name server that gave it cannot be trusted with the
  // others (CONTRACT §6).
  for (const auto& address : addresses) {
    if (!context_.policy.Allows(address)) return End(JudgeBlocked());
  }
  const SourceAddresses& sources = context_.reachability.sources();
  untried_.assign(addresses.rbegin(), addresses.rend());
  std::erase_if(untried_, [&](const auto& address) { return !sources.Reach(address); });
  if (untried_.empty()) return End(JudgeNoSource());
  Queue();
}

// The next address is tried in a moment.
void Transfer::Queue() {
  state_.Enter(State::kQueued);
  context_.start_soon(*this);
}

void Transfer::StartAttempt() {
  if (!state_.Is(State::kQueued)) return;  // the deadline came first
  const auto address = untried_.back();
  untried_.pop_back();
  ++attempts_;
  last_.reset();
  try {
    attempt_ = std::make_unique<Attempt>(context_.attempts, *this, request_, address,
                                         Attempt::Manner{rehearsal_, fresh_connection_});
    fresh_connection_ = false;
    if (!multi_.Add(*attempt_)) attempt_.reset();
  } catch (const std::bad_alloc&) {
    // Then there is no attempt either.
  }
  if (!attempt_) return End(JudgeFault(LocalFault::kMemory));
  state_.Enter(State::kAttempting);
  if (!untried_.empty()) context_.limit_connect(*this, attempts_);
  multi_.OnDue();  // by then, the attempt may be over, and so may the transfer
  if (state_.Is(State::kAttempting)) attempt_->LookAtWire();
}

// The facts are taken last, because closing the connection may show more of the attempt.
void Transfer::TakeFromLibcurl() {
  multi_.Remove(*attempt_);
  last_ = attempt_->Facts();
  attempt_.reset();
}

void Transfer::OnAttemptOver(CURLcode code) {
  TakeFromLibcurl();
  if (state_.Is(State::kClosing)) return state_.Enter(State::kOver);
  state_.Enter(State::kAttempted);
  if (Steady::now() >= deadline_) return OnDeadline();
  // The row may not be ours any more, so the request must not be sent. The deadline ends the transfer.
  if (last_->state == AttemptState::kTooLate) return;
  // A kept connection had something unread. No byte of the request was sent, so this address is tried again,
  // over a connection of its own.
  if (last_->state == AttemptState::kStale) {
    untried_.push_back(last_->address);
    fresh_connection_ = true;
    return Queue();
  }

  PostResult verdict = JudgeEnd(*last_, code);
  NoteSign(verdict.sign);
  if (last_->system_error == ECONNREFUSED) context_.reachability.NoteAnswer(Steady::now());
  if (last_->state == AttemptState::kRehearsed) verdict = JudgeRehearsal(*last_);
  // It failed before the request was sent, and neither this machine nor the policy is the reason.
  const bool failed_early =
      verdict.result.outcome == Outcome::kConnectError || verdict.result.outcome == Outcome::kTlsError;
  if (failed_early && !untried_.empty()) {
    context_.resolver.MoveToBack(request_.url.host, last_->address);
    KeepFurthest(std::move(verdict));
    return Queue();
  }
  if (failed_early && furthest_) {
    KeepFurthest(std::move(verdict));
    last_ = std::move(furthest_->attempt);
    verdict = std::move(furthest_->verdict);
  }
  End(std::move(verdict));
}

// Which address fails last is chance. The attempt that got furthest says best what is wrong.
void Transfer::KeepFurthest(PostResult verdict) {
  if (furthest_ && furthest_->verdict.result.reached > verdict.result.reached) return;
  furthest_ = Failure{*std::exchange(last_, std::nullopt), std::move(verdict)};
}

void Transfer::OnSlowConnect(int attempt) {
  if (attempt != attempts_ || !state_.Is(State::kAttempting) || attempt_->connected()) return;
  NoteSign(NetworkSign::kSilence);
  TakeFromLibcurl();
  state_.Enter(State::kAttempted);
  context_.resolver.MoveToBack(request_.url.host, last_->address);
  Queue();
}

// When one address was reached, the network works. When some addresses are silent and others have no route,
// the sign is silence.
void Transfer::NoteSign(NetworkSign sign) {
  if (!sign_ || sign == NetworkSign::kNone) {
    sign_ = sign;
  } else if (*sign_ != NetworkSign::kNone && *sign_ != sign) {
    sign_ = NetworkSign::kSilence;
  }
}

void Transfer::OnDeadline() {
  auto step = TimeoutIn::kWait;
  if (state_.Is(State::kLookup)) step = TimeoutIn::kLookup;
  if (state_.Is(State::kAttempting)) {
    step = TimeoutIn::kAttempt;
    attempt_->LookAtWire();
    attempt_->Abandon();
    last_ = attempt_->Facts();
  }
  if (!last_ && furthest_) last_ = std::move(furthest_->attempt);
  PostResult verdict = JudgeTimeout(last_ ? &*last_ : nullptr, step, context_.options.timeout);
  NoteSign(verdict.sign);
  End(std::move(verdict));
}

void Transfer::End(PostResult result) {
  result.result.times = Times(Steady::now());
  if (sign_) result.sign = *sign_;
  if (last_ && last_->sent_at) {
    result.result.request_bytes = static_cast<std::int64_t>(request_.body.size());
    (last_->connection_reused ? context_.metrics.connections_reused : context_.metrics.connections_new)
        .Increment();
    if (last_->state == AttemptState::kSecondStopped) context_.metrics.resend_guard.Increment();
  }
  result_ = std::move(result);
  state_.Enter(state_.Is(State::kAttempting) ? State::kClosing : State::kOver);
  context_.over(*this);
}

PhaseTimes Transfer::Times(SteadyTime now) const {
  PhaseTimes times;
  times.total = Milliseconds(now - started_);
  if (looked_up_at_) times.lookup = Milliseconds(*looked_up_at_ - started_);
  if (!last_) return times;
  if (last_->connected_at) {
    times.connect = Milliseconds(*last_->connected_at - looked_up_at_.value_or(started_));
    if (last_->ready_at && request_.url.scheme == "https") {
      times.tls = Milliseconds(*last_->ready_at - *last_->connected_at);
    }
  }
  if (last_->sent_at && last_->response.first_byte_at) {
    times.first_byte = Milliseconds(*last_->response.first_byte_at - *last_->sent_at);
  }
  return times;
}

}  // namespace postcall::http
