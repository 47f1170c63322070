#include "dispatcher/admin/routes.h"

#include <exception>
#include <utility>

#include "common/log.h"

namespace postcall::admin {
namespace {

// One line of text.
Answer Plain(unsigned status, std::string text) { return {.status = status, .body = std::move(text) + "\n"}; }

}  // namespace

Routes::Routes(Probes probes, HostGuard guard) : probes_(std::move(probes)), guard_(std::move(guard)) {}

Answer Routes::AnswerTo(const Question& question) const {
  // This check is the first: a request with a foreign name learns nothing, not even which paths exist.
  if (question.host && !guard_.Admits(*question.host)) {
    return Plain(421, "this Host is not served here; use localhost or the address that --admin-listen names");
  }
  const std::string_view path = question.target.substr(0, question.target.find('?'));
  if (!path.starts_with('/')) return Plain(400, "the target must be a path");
  if (path != "/metrics" && path != "/healthz" && path != "/readyz") return Plain(404, "not found");
  if (question.method != "GET" && question.method != "HEAD") {
    Answer answer = Plain(405, "only GET and HEAD");
    answer.allow = "GET, HEAD";
    return answer;
  }
  try {
    if (path == "/healthz") {
      const Health health = probes_.health();
      return health.healthy ? Plain(200, "ok") : Plain(503, health.reason);
    }
    if (path == "/readyz") {
      const Readiness readiness = probes_.ready();
      return readiness.ready ? Plain(200, "ready") : Plain(503, readiness.reason);
    }
    return {
        .status = 200, .body = probes_.metrics(), .content_type = "text/plain; version=0.0.4; charset=utf-8"};
  } catch (const std::exception& error) {
    log::Error("an admin request failed, answered with 500", {{"path", path}, {"error", error.what()}});
    return Plain(500, "this request failed; the log says why");
  }
}

}  // namespace postcall::admin
