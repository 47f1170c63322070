// The bytes of a connection, with or without TLS. For the thread of the io_context; every function calls back
// later, never from within.
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
  virtual void SayGoodbye(Done done) = 0;  // the end of our bytes: close_notify where there is TLS, then FIN
};

// The socket must outlive the wire.
std::unique_ptr<Wire> MakePlainWire(boost::asio::ip::tcp::socket& socket);

class TlsWire : public Wire {
 public:
  // With a `drip` above 0 our part of the handshake is sent byte by byte at that interval.
  virtual void Handshake(std::chrono::milliseconds drip,
                         std::function<void(boost::system::error_code)> done) = 0;
  virtual std::string ServerName() = 0;  // SNI, once the handshake is over
  // As they go on the socket, at once and before anything else.
  virtual std::string MakeMessages(TlsMessage message, std::size_t count) = 0;
};

std::unique_ptr<TlsWire> MakeTlsWire(boost::asio::ip::tcp::socket& socket,
                                     boost::asio::ssl::context& context);

}  // namespace postcall::test
