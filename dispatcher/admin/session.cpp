#include "dispatcher/admin/session.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <cstdint>
#include <string_view>
#include <utility>

namespace postcall::admin {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;

constexpr std::uint32_t kHeaderLimit = 8 * 1024;
constexpr std::uint64_t kBodyLimit = 1024;  // no request here needs one
constexpr std::size_t kBufferLimit = std::size_t{16} * 1024;
constexpr auto kLinger = std::chrono::seconds(1);

std::optional<Answer> AnswerToBroken(const error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return Answer{.status = 431, .body = "the header is too large\n"};
  }
  if (error == http::error::body_limit) return Answer{.status = 413, .body = "the body is too large\n"};
  // The connection ended, inside a request or between two, so there is nothing to answer.
  if (error == http::error::end_of_stream || error == http::error::partial_message) return std::nullopt;
  if (error.category() == make_error_code(http::error::bad_method).category()) {
    return Answer{.status = 400, .body = "this is not a well-formed request\n"};
  }
  return std::nullopt;
}

}  // namespace

Session::Session(boost::asio::ip::tcp::socket socket, const Routes& routes, Timeouts timeouts,
                 std::function<void(Session*)> on_end)
    : stream_(std::move(socket)),
      routes_(routes),
      timeouts_(timeouts),
      on_end_(std::move(on_end)),
      buffer_(kBufferLimit) {}

Session::~Session() { on_end_(this); }

void Session::Close() { stream_.close(); }

// Waiting for a request and reading it have different limits: a client may take longer to begin a request
// than to send it.
void Session::AwaitNext() {
  stage_ = Stage::kAnswered;
  if (buffer_.size() > 0) return Read();
  stream_.expires_after(timeouts_.other);
  stream_.async_read_some(buffer_.prepare(kBufferLimit),
                          [self = shared_from_this()](const error_code& error, std::size_t size) {
                            if (error) return;
                            self->buffer_.commit(size);
                            self->Read();
                          });
}

void Session::Read() {
  stage_ = Stage::kAsking;
  parser_.emplace();
  parser_->header_limit(kHeaderLimit);
  parser_->body_limit(kBodyLimit);
  // The limit holds for the whole request, so a client that sends byte by byte gets no more time.
  stream_.expires_after(timeouts_.request);
  http::async_read(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](const error_code& error, std::size_t) { self->OnRead(error); });
}

void Session::OnRead(const error_code& error) {
  if (error) {
    if (const std::optional<Answer> answer = AnswerToBroken(error)) Write(*answer, false, false);
    return;
  }
  const auto& request = parser_->get();
  const auto hosts = request.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && request.version() >= 11)) {
    Write({.status = 400, .body = "a request has exactly one Host\n"}, false, false);
    return;
  }
  Question question{.method = {request.method_string().data(), request.method_string().size()},
                    .target = {request.target().data(), request.target().size()},
                    .host = std::nullopt};
  if (hosts == 1) {
    const auto host = request[http::field::host];
    question.host = std::string_view(host.data(), host.size());
  }
  Write(routes_.AnswerTo(question), request.method() == http::verb::head, request.keep_alive());
}

void Session::Write(const Answer& answer, bool head, bool keep_alive) {
  stage_ = Stage::kAnswering;
  Response& response = response_.emplace(static_cast<http::status>(answer.status), 11);
  response.keep_alive(keep_alive);
  response.set(http::field::content_type, {answer.content_type.data(), answer.content_type.size()});
  response.set(http::field::cache_control, "no-store");
  response.set("X-Content-Type-Options", "nosniff");
  if (!answer.allow.empty()) response.set(http::field::allow, {answer.allow.data(), answer.allow.size()});
  response.content_length(answer.body.size());
  if (!head) response.body() = answer.body;

  // The limit holds for the whole answer, so a client that reads slowly gets no more time.
  stream_.expires_after(timeouts_.other);
  http::async_write(stream_, *response_,
                    [self = shared_from_this(), keep_alive](const error_code& error, std::size_t) {
                      if (error) return;
                      if (keep_alive) {
                        self->AwaitNext();
                      } else {
                        self->Linger();
                      }
                    });
}

// Reads on for a while before it closes: closing while the client still sends resets the connection, and the
// client might not get the answer.
void Session::Linger() {
  stage_ = Stage::kAnswered;
  error_code ignored;
  stream_.socket().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
  stream_.expires_after(std::min<std::chrono::milliseconds>(timeouts_.other, kLinger));
  Discard();
}

void Session::Discard() {
  buffer_.clear();
  stream_.async_read_some(buffer_.prepare(kBufferLimit),
                          [self = shared_from_this()](const error_code& error, std::size_t) {
                            if (!error) self->Discard();
                          });
}

}  // namespace postcall::admin
