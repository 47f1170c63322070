// What is answered to which request on the admin port (CONTRACT §8). Knows nothing of connections. Admin
// thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "dispatcher/admin/host_guard.h"
#include "dispatcher/admin/probes.h"

namespace postcall::admin {

struct Question {
  std::string_view method;
  std::string_view target;               // as it came, with its query
  std::optional<std::string_view> host;  // none: HTTP/1.0 without one
};

struct Answer {
  unsigned status;
  std::string body;
  std::string_view content_type = "text/plain; charset=utf-8";
  std::string_view allow = {};  // methods, for a 405
};

class Routes {
 public:
  Routes(Probes probes, HostGuard guard);

  // The whole body also for HEAD. Never throws what a probe throws: that is a 500 and a log line.
  Answer AnswerTo(const Question& question) const;

 private:
  const Probes probes_;
  const HostGuard guard_;
};

}  // namespace postcall::admin
