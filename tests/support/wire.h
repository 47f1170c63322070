// The bytes of a connection, with or without TLS. Thread of the io_context. Every function calls `done`
// later, never before it returns.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "tests/support/endpoint_script.h"

namespace postcall::test {

class Wire {
 public:
  using Done = std::function<void(boost::system::error_code, std::size_t)>;

  virtual ~Wire() = default;
  virtual void Read(boost::asio::mutable_buffer into, Done done) = 0;  // some bytes
  virtual void Write(boost::asio::const_buffer bytes, Done done) = 0;  // all of them
  virtual void EndSending(Done done) = 0;  // sends close_notify if there is TLS, then FIN
};

// The socket must outlive the wire.
std::unique_ptr<Wire> MakePlainWire(boost::asio::ip::tcp::socket& socket);

class TlsWire : public Wire {
 public:
  // When `drip` is above 0, our part of the handshake is sent byte by byte, at this interval.
  virtual void Handshake(std::chrono::milliseconds drip,
                         std::function<void(boost::system::error_code)> done) = 0;
  virtual std::string ServerName() = 0;  // SNI, once the handshake is over
  // The messages as bytes for the socket, which must be sent before anything else. It makes them for a second
  // at most.
  virtual std::string MakeMessages(TlsMessage message, std::size_t count) = 0;
};

std::unique_ptr<TlsWire> MakeTlsWire(boost::asio::ip::tcp::socket& socket,
                                     boost::asio::ssl::context& context);

}  // namespace postcall::test
