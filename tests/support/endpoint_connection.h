// One connection of a hostile endpoint: plays scripts, reads requests, writes the ledger. The endpoint's
// thread uses it; it keeps itself alive while an operation is pending.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "tests/support/hostile_endpoint.h"
#include "tests/support/wire.h"

namespace postcall::test {

// An answer and when it begins.
struct Route {
  HostileEndpoint::Chooser chooser;
  AnswerAt at;
};

// What a connection needs from its endpoint.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual RequestLedger* ledger() = 0;           // nullptr when there is none
  virtual boost::asio::ssl::context* tls() = 0;  // nullptr for plain text
  virtual Route RouteFor(const RequestEntry& request) = 0;
  virtual ConnectionScript ScriptFor(std::size_t connection) = 0;
  virtual void OnRequest(const RequestEntry& request) = 0;
  virtual void OnClosed(std::size_t connection) = 0;
};

class EndpointConnection : public std::enable_shared_from_this<EndpointConnection> {
 public:
  EndpointConnection(ConnectionHost& host, std::size_t number, boost::asio::ip::tcp::socket socket);

  void Start();
  void CloseNow();

 private:
  using Next = std::function<void()>;

  void Handshake(std::chrono::milliseconds drip, const Script& then);

  void ReadHead();
  void OnHead(std::size_t head_size);
  void ReadBody(Next then);
  void Answer(Next then);
  void EndRequest();

  // Plays `script`, then goes on with `then` if the script ends with kContinue.
  void Play(Script script, Next then);
  void PlayStep(std::size_t index);
  void PlayDrip(std::size_t index, std::size_t offset);
  void PlayForever(std::size_t index);
  void PlayTlsMessages(std::size_t index);
  void PlayEnding();

  void EndSending();
  void DiscardUntilEnd();
  void DiscardSome();
  void DiscardAndHang();
  void WaitForBreak();

  // Any failure closes the connection and drops `then`.
  void ReadSome(Next then);
  void Write(boost::asio::const_buffer bytes, Next then);
  void After(std::chrono::milliseconds duration, Next then);

  void NoteAnswerBegan();
  void NoteAnswerEnded();

  ConnectionHost& host_;
  const std::size_t number_;
  boost::asio::ip::tcp::socket socket_;
  std::unique_ptr<Wire> wire_;
  TlsWire* tls_wire_ = nullptr;  // the same, once there is TLS
  boost::asio::steady_timer timer_;

  std::string unread_;  // bytes that came and belong to no request yet
  std::array<char, 16384> piece_;
  std::size_t requests_ = 0;

  RequestEntry request_;  // the current one
  std::size_t body_size_ = 0;
  Route route_;
  bool in_request_ = false;
  bool answering_ = false;

  Script script_;
  Next after_script_;
};

}  // namespace postcall::test
