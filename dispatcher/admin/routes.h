// The answer to each request on the admin port (CONTRACT §8). It knows nothing about connections. Admin
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
  std::string_view target;               // unchanged, with its query
  std::optional<std::string_view> host;  // no value: HTTP/1.0 without a Host header
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

  // Has the whole body also for HEAD. When a probe throws, the answer is a 500, and the error is logged.
  Answer AnswerTo(const Question& question) const;

 private:
  const Probes probes_;
  const HostGuard guard_;
};

}  // namespace postcall::admin
