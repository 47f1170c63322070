#include "tests/support/wire.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "common/clock.h"

namespace postcall::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

void SendFin(tcp::socket& socket) {
  error_code ignored;
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

class Plain : public Wire {
 public:
  explicit Plain(tcp::socket& socket) : socket_(socket) {}

  void Read(asio::mutable_buffer into, Done done) override { socket_.async_read_some(into, std::move(done)); }
  void Write(asio::const_buffer bytes, Done done) override {
    asio::async_write(socket_, bytes, std::move(done));
  }
  void EndSending(Done done) override {
    SendFin(socket_);
    asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
  }

 private:
  tcp::socket& socket_;
};

// The socket below TLS. Its writes can be slowed down, and it can send FIN after the last one.
class SlowSocket {
 public:
  using executor_type = tcp::socket::executor_type;
  using lowest_layer_type = tcp::socket::lowest_layer_type;

  explicit SlowSocket(tcp::socket& socket) : socket_(socket), timer_(socket.get_executor()) {}

  executor_type get_executor() { return socket_.get_executor(); }
  lowest_layer_type& lowest_layer() { return socket_.lowest_layer(); }
  void set_drip(std::chrono::milliseconds interval) { drip_ = interval; }
  void SendFinAfterWrite() { fin_after_write_ = true; }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    socket_.async_read_some(buffers, std::forward<Handler>(handler));
  }

  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    const asio::const_buffer bytes = *asio::buffer_sequence_begin(buffers);
    auto finish = [this, handler = std::forward<Handler>(handler)](error_code failed,
                                                                   std::size_t size) mutable {
      if (fin_after_write_) SendFin(socket_);
      std::move(handler)(failed, size);
    };
    if (drip_.count() == 0) {
      socket_.async_write_some(asio::const_buffers_1(bytes), std::move(finish));
      return;
    }
    timer_.expires_after(drip_);
    timer_.async_wait([this, bytes, finish = std::move(finish)](error_code failed) mutable {
      if (failed) return finish(failed, 0);
      socket_.async_write_some(asio::const_buffers_1(asio::buffer(bytes, 1)), std::move(finish));
    });
  }

 private:
  tcp::socket& socket_;
  asio::steady_timer timer_;
  std::chrono::milliseconds drip_{0};
  bool fin_after_write_ = false;
};

class Tls : public TlsWire {
 public:
  Tls(tcp::socket& socket, asio::ssl::context& context) : slow_(socket), stream_(slow_, context) {}

  void Handshake(std::chrono::milliseconds drip, std::function<void(error_code)> done) override {
    slow_.set_drip(drip);
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [this, done = std::move(done)](error_code failed) {
                              slow_.set_drip(std::chrono::milliseconds(0));
                              done(failed);
                            });
  }
  std::string ServerName() override {
    const char* name = SSL_get_servername(stream_.native_handle(), TLSEXT_NAMETYPE_host_name);
    return name == nullptr ? "" : name;
  }
  std::string MakeMessages(TlsMessage message, std::size_t count) override {
    SSL* const session = stream_.native_handle();
    BIO* const socket = SSL_get_wbio(session);
    BIO_up_ref(socket);
    SSL_set0_wbio(session, BIO_new(BIO_s_mem()));
    const SteadyTime end = Steady::now() + std::chrono::seconds(1);
    for (std::size_t i = 0; i < count && Steady::now() < end; ++i) {
      message == TlsMessage::kKeyUpdate ? SSL_key_update(session, SSL_KEY_UPDATE_NOT_REQUESTED)
                                        : SSL_new_session_ticket(session);
      SSL_do_handshake(session);
    }
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(session), &bytes);
    std::string made(bytes, static_cast<std::size_t>(size));
    SSL_set0_wbio(session, socket);
    return made;
  }
  void Read(asio::mutable_buffer into, Done done) override { stream_.async_read_some(into, std::move(done)); }
  void Write(asio::const_buffer bytes, Done done) override {
    asio::async_write(stream_, bytes, std::move(done));
  }
  void EndSending(Done done) override {
    slow_.SendFinAfterWrite();
    stream_.async_shutdown([done = std::move(done)](error_code failed) { done(failed, 0); });
  }

 private:
  SlowSocket slow_;
  asio::ssl::stream<SlowSocket&> stream_;
};

}  // namespace

std::unique_ptr<Wire> MakePlainWire(tcp::socket& socket) { return std::make_unique<Plain>(socket); }

std::unique_ptr<TlsWire> MakeTlsWire(tcp::socket& socket, asio::ssl::context& context) {
  return std::make_unique<Tls>(socket, context);
}

}  // namespace postcall::test
