// One connection to the admin port. It reads requests one after the other and answers each, within limits of
// size and time that also hold for a hostile client. It keeps itself alive while it has work. Admin thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "dispatcher/admin/routes.h"

namespace postcall::admin {

class Session : public std::enable_shared_from_this<Session> {
 public:
  struct Timeouts {
    // The limit for a whole request, from its first byte; for the first request, from the start of the
    // connection.
    std::chrono::milliseconds request;
    // The limit for the client to read an answer, and to begin the next request.
    std::chrono::milliseconds other;
  };

  // The state of the connection. The stages are in the order of how much the client loses when it is closed.
  enum class Stage {
    kAsking,     // no whole request has arrived
    kAnswered,   // the client has its answer; the next request has not begun
    kAnswering,  // a part of the answer is not yet sent
  };

  // `routes` outlives the session. `on_end` is called by the destructor.
  Session(boost::asio::ip::tcp::socket socket, const Routes& routes, Timeouts timeouts,
          std::function<void(Session*)> on_end);
  ~Session();

  void Start() { Read(); }

  Stage stage() const { return stage_; }

  // Closes the connection at once. Another thread may call it after the admin thread has ended.
  void Close();

 private:
  using Response = boost::beast::http::response<boost::beast::http::string_body>;

  void AwaitNext();
  void Read();
  void OnRead(const boost::beast::error_code& error);
  void Write(const Answer& answer, bool head, bool keep_alive);
  void Linger();
  void Discard();

  boost::beast::tcp_stream stream_;
  const Routes& routes_;
  const Timeouts timeouts_;
  const std::function<void(Session*)> on_end_;
  Stage stage_ = Stage::kAsking;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  std::optional<Response> response_;
};

}  // namespace postcall::admin
