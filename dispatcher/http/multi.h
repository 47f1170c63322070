// One multi handle of libcurl with the connections that it keeps. An engine has several, and a host always
// uses the same one, because libcurl scans all idle connections of a handle once a second. One thread, the
// loop's.
#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <vector>

#include "common/clock.h"
#include "common/handle.h"
#include "dispatcher/http/request_options.h"
#include "dispatcher/http/socket_watch.h"

namespace postcall::http {

class Attempt;

class Multi final : public SocketWatch::Owner {
 public:
  // At `max_connections`, each connection that becomes idle closes another idle one. Throws std::bad_alloc.
  Multi(SocketWatch& watch, std::size_t max_connections);
  Multi(const Multi&) = delete;
  Multi& operator=(const Multi&) = delete;

  // False when out of memory. Remove the attempt before it is destroyed.
  bool Add(Attempt& attempt);
  void Remove(Attempt& attempt);

  // When libcurl must be called next; SteadyTime::max() for never. Each call may end attempts and then calls
  // Transfer::OnAttemptOver.
  SteadyTime due() const { return due_; }
  void OnDue();
  void OnReady(int fd, SocketWatch::Readiness readiness, void* tag) override;

  // The time from which none of the kept connections can be used again; SteadyTime::max() when there are
  // none. libcurl itself would close them only when the next transfer comes.
  SteadyTime stale_at() const { return clean_ || attempts_ > 0 ? SteadyTime::max() : used_at_ + kReuseAge; }
  void CloseStale();

 private:
  void Act(int fd, int events);
  void TakeFinished();
  static int SetSocket(CURL* easy, curl_socket_t socket, int what, void* self, void*);
  static int SetTimer(CURLM*, long milliseconds, void* self);

  Handle<CURLM, curl_multi_cleanup> Make();

  SocketWatch& watch_;
  const std::size_t max_connections_;
  SteadyTime due_ = SteadyTime::max();
  std::size_t attempts_ = 0;
  std::vector<Attempt*> answered_;  // in Act: attempts that are over before libcurl says so
  SteadyTime used_at_;
  bool clean_ = true;  // this handle has had no attempt, so it keeps no connection
  Handle<CURLM, curl_multi_cleanup> multi_;
};

}  // namespace postcall::http
