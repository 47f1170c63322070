#include "tests/support/hostile_endpoint.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "tests/support/endpoint_connection.h"

namespace postcall::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

std::unique_ptr<asio::ssl::context> MakeTlsContext(const TlsOptions& options) {
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  if (options.highest_version != 0 && options.highest_version < TLS1_2_VERSION) {
    SSL_CTX_set_cipher_list(context->native_handle(),
                            "ALL:@SECLEVEL=0");  // otherwise OpenSSL refuses old versions
  }
  if (!options.ciphers.empty()) SSL_CTX_set_cipher_list(context->native_handle(), options.ciphers.c_str());
  if (!options.groups.empty()) SSL_CTX_set1_groups_list(context->native_handle(), options.groups.c_str());
  SSL_CTX_set_dh_auto(context->native_handle(), 1);
  SSL_CTX_set_min_proto_version(context->native_handle(), options.lowest_version);
  SSL_CTX_set_max_proto_version(context->native_handle(), options.highest_version);
  if (options.demands_client_certificate) {
    context->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
  }
  if (options.alert != 0) {
    constexpr auto refuse = [](SSL*, int* alert, void* wanted) {
      *alert = *static_cast<const int*>(wanted);
      return SSL_CLIENT_HELLO_ERROR;
    };
    SSL_CTX_set_client_hello_cb(context->native_handle(), +refuse, const_cast<int*>(&options.alert));
  }
  context->use_certificate_chain(asio::buffer(options.certificate.certificate_pem));
  context->use_private_key(asio::buffer(options.certificate.key_pem), asio::ssl::context::pem);
  return context;
}

tcp::acceptor Listen(asio::io_context& loop, const EndpointOptions& options) {
  const tcp::endpoint local(asio::ip::make_address(options.address), options.port);
  tcp::acceptor acceptor(loop, local.protocol());
  acceptor.set_option(tcp::acceptor::reuse_address(true));
  acceptor.bind(local);
  acceptor.listen(asio::socket_base::max_listen_connections);
  return acceptor;
}

}  // namespace

class HostileEndpoint::Server : public ConnectionHost {
 public:
  explicit Server(EndpointOptions options)
      : options_(std::move(options)),
        tls_(options_.tls ? MakeTlsContext(*options_.tls) : nullptr),
        acceptor_(Listen(loop_, options_)),
        retry_(loop_),
        port_(acceptor_.local_endpoint().port()) {
    Accept();
    thread_ = std::thread([this] { loop_.run(); });
  }

  ~Server() override {
    loop_.stop();
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const { return port_; }
  const EndpointOptions& options() const { return options_; }

  void SetAnswer(const std::optional<std::string>& path, Chooser chooser, AnswerAt at) {
    const std::scoped_lock lock(mutex_);
    (path ? by_path_[*path] : otherwise_) = Route{std::move(chooser), at};
  }
  void SetConnectionChooser(ConnectionChooser chooser) {
    const std::scoped_lock lock(mutex_);
    on_connection_ = std::move(chooser);
  }

  // Runs it on the endpoint's thread and waits until it is done.
  void Do(const std::function<void()>& work) {
    std::promise<void> done;
    asio::post(loop_, [&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  void CloseConnections() {
    const auto open = std::exchange(open_, {});
    for (const auto& [number, connection] : open) {
      if (const auto held = connection.lock()) held->CloseNow();
    }
  }
  void StopListening() { acceptor_.close(); }

  // ConnectionHost
  RequestLedger* ledger() override { return options_.keep_ledger ? &ledger_ : nullptr; }
  RequestLedger& any_ledger() { return ledger_; }
  asio::ssl::context* tls() override { return tls_.get(); }
  Route RouteFor(const RequestEntry& request) override {
    const std::scoped_lock lock(mutex_);
    const auto found = by_path_.find(request.path);
    return found == by_path_.end() ? otherwise_ : found->second;
  }
  ConnectionScript ScriptFor(std::size_t connection) override {
    ConnectionChooser chooser;
    {
      const std::scoped_lock lock(mutex_);
      chooser = on_connection_;
    }
    return chooser ? chooser(connection) : ConnectionScript{};
  }
  void OnRequest(const RequestEntry& request) override {
    if (options_.on_request) options_.on_request(request);
  }
  void OnClosed(std::size_t connection) override { open_.erase(connection); }

 private:
  void Accept() {
    acceptor_.async_accept([this](error_code failed, tcp::socket socket) {
      if (failed == asio::error::operation_aborted || !acceptor_.is_open()) return;
      if (failed) {  // probably out of descriptors: other connections may close in the meantime
        retry_.expires_after(std::chrono::milliseconds(10));
        retry_.async_wait([this](error_code stopped) {
          if (!stopped) Accept();
        });
        return;
      }
      const std::size_t number = accepted_++;
      error_code closed_already;
      const tcp::endpoint from = socket.remote_endpoint(closed_already);
      if (options_.keep_ledger) ledger_.AddConnection(from.address().to_string());
      const auto connection = std::make_shared<EndpointConnection>(*this, number, std::move(socket));
      open_[number] = connection;
      connection->Start();
      Accept();
    });
  }

  const EndpointOptions options_;
  RequestLedger ledger_;
  std::mutex mutex_;  // for the next three
  std::map<std::string, Route> by_path_;
  Route otherwise_{[](const RequestEntry&) { return Respond(200, "ok"); }, AnswerAt::kRequestEnd};
  ConnectionChooser on_connection_;
  std::map<std::size_t, std::weak_ptr<EndpointConnection>> open_;
  std::size_t accepted_ = 0;
  std::unique_ptr<asio::ssl::context> tls_;
  asio::io_context loop_{1};  // after all members that connections use, because it destroys the connections
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  const std::uint16_t port_;
  std::thread thread_;
};

HostileEndpoint::HostileEndpoint(EndpointOptions options)
    : server_(std::make_unique<Server>(std::move(options))) {}
HostileEndpoint::~HostileEndpoint() = default;

std::uint16_t HostileEndpoint::port() const { return server_->port(); }

std::string HostileEndpoint::Url(const std::string& target, const std::string& host) const {
  const std::string& address = server_->options().address;
  const std::string literal = address.find(':') == std::string::npos ? address : "[" + address + "]";
  return std::string(server_->tls() != nullptr ? "https://" : "http://") + (host.empty() ? literal : host) +
         ":" + std::to_string(port()) + target;
}

void HostileEndpoint::On(const std::string& path, Script script, AnswerAt at) {
  On(
      path, [script = std::move(script)](const RequestEntry&) { return script; }, at);
}
void HostileEndpoint::On(const std::string& path, Chooser chooser, AnswerAt at) {
  server_->SetAnswer(path, std::move(chooser), at);
}
void HostileEndpoint::Otherwise(Script script, AnswerAt at) {
  Otherwise([script = std::move(script)](const RequestEntry&) { return script; }, at);
}
void HostileEndpoint::Otherwise(Chooser chooser, AnswerAt at) {
  server_->SetAnswer(std::nullopt, std::move(chooser), at);
}
void HostileEndpoint::OnConnection(ConnectionScript script) {
  OnConnection([script = std::move(script)](std::size_t) { return script; });
}
void HostileEndpoint::OnConnection(ConnectionChooser chooser) {
  server_->SetConnectionChooser(std::move(chooser));
}

void HostileEndpoint::CloseConnections() {
  server_->Do([this] { server_->CloseConnections(); });
}
void HostileEndpoint::StopListening() {
  server_->Do([this] { server_->StopListening(); });
}

RequestLedger& HostileEndpoint::ledger() { return server_->any_ledger(); }
const RequestLedger& HostileEndpoint::ledger() const { return server_->any_ledger(); }

}  // namespace postcall::test
