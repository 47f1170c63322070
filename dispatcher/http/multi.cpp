#include "dispatcher/http/multi.h"

#include <chrono>
#include <new>
#include <utility>

#include "dispatcher/http/attempt.h"
#include "dispatcher/http/transfer.h"

namespace postcall::http {

Multi::Multi(SocketWatch& watch, std::size_t max_connections)
    : watch_(watch), max_connections_(max_connections), multi_(Make()) {
  if (!multi_) throw std::bad_alloc();
}

Handle<CURLM, curl_multi_cleanup> Multi::Make() {
  Handle<CURLM, curl_multi_cleanup> multi(curl_multi_init());
  if (!multi) return multi;
  curl_multi_setopt(multi.get(), CURLMOPT_SOCKETFUNCTION, &Multi::SetSocket);
  curl_multi_setopt(multi.get(), CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi.get(), CURLMOPT_TIMERFUNCTION, &Multi::SetTimer);
  curl_multi_setopt(multi.get(), CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi.get(), CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
  curl_multi_setopt(multi.get(), CURLMOPT_MAXCONNECTS, static_cast<long>(max_connections_));
  return multi;
}

bool Multi::Add(Attempt& attempt) {
  if (curl_multi_add_handle(multi_.get(), attempt.easy()) != CURLM_OK) return false;
  ++attempts_;
  clean_ = false;
  return true;
}

void Multi::Remove(Attempt& attempt) {
  std::erase(answered_, &attempt);
  curl_multi_remove_handle(multi_.get(), attempt.easy());
  watch_.Untag(*this, attempt.watched_socket(), &attempt);  // libcurl may still watch it in order to close it
  --attempts_;
  used_at_ = Steady::now();
}

void Multi::OnDue() {
  due_ = SteadyTime::max();
  Act(CURL_SOCKET_TIMEOUT, 0);
}

void Multi::OnReady(int fd, SocketWatch::Readiness readiness, void* tag) {
  auto* const attempt = static_cast<Attempt*>(tag);  // null for a connection that libcurl is closing
  if (attempt != nullptr && readiness.readable) attempt->OnReadable(fd);
  int events = 0;
  if (readiness.readable) events |= CURL_CSELECT_IN;
  if (readiness.writable) events |= CURL_CSELECT_OUT;
  if (readiness.error) events |= CURL_CSELECT_ERR;
  Act(fd, events);
  // At each call, also for other sockets, libcurl reads on while a socket has more. Many attempts that
  // receive too much would delay all others, so each is checked now.
  if (attempt == nullptr || !watch_.Watches(*this, fd, tag)) return;
  attempt->LookAtWire();
  // libcurl does not report again a socket that is already watched for writing, for example during a connect.
  if (attempt->IsAnswered()) attempt->owner().OnAttemptOver(CURLE_OK);
}

void Multi::Act(int fd, int events) {
  int running = 0;
  curl_multi_socket_action(multi_.get(), fd, events, &running);
  TakeFinished();
}

void Multi::TakeFinished() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
    const CURLcode code = message->data.result;
    Attempt::Of(message->easy_handle)->owner().OnAttemptOver(code);
  }
  while (!answered_.empty()) {
    Attempt& attempt = *answered_.back();
    answered_.pop_back();
    attempt.owner().OnAttemptOver(CURLE_OK);
  }
}

void Multi::CloseStale() {
  clean_ = true;
  if (auto fresh = Make()) {
    multi_ = std::move(fresh);
    due_ = SteadyTime::max();
  }
}

int Multi::SetSocket(CURL* easy, curl_socket_t socket, int what, void* self, void*) {
  auto* multi = static_cast<Multi*>(self);
  SocketWatch& watch = multi->watch_;
  if (what == CURL_POLL_REMOVE) {
    watch.Remove(*multi, socket);
    return 0;
  }
  Attempt* const attempt = Attempt::Of(easy);
  if (attempt != nullptr) {
    if (attempt->watched_socket() != socket) watch.Untag(*multi, attempt->watched_socket(), attempt);
    attempt->SetWatched(socket, what == CURL_POLL_OUT);
    if (attempt->IsAnswered()) multi->answered_.push_back(attempt);
  }
  watch.Set(*multi, socket, (what & CURL_POLL_IN) != 0, (what & CURL_POLL_OUT) != 0, attempt);
  return 0;
}

// libcurl must not be called inside this callback, not even when the timeout is 0.
int Multi::SetTimer(CURLM*, long milliseconds, void* self) {
  auto* multi = static_cast<Multi*>(self);
  multi->due_ =
      milliseconds < 0 ? SteadyTime::max() : Steady::now() + std::chrono::milliseconds(milliseconds);
  return 0;
}

}  // namespace postcall::http
