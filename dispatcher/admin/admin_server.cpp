#include "dispatcher/admin/admin_server.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "common/log.h"
#include "dispatcher/admin/host_guard.h"
#include "dispatcher/admin/listen_address.h"
#include "dispatcher/admin/routes.h"
#include "dispatcher/admin/session.h"

namespace postcall::admin {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

ListenAddress Parse(const std::string& listen) {
  Result<ListenAddress> parsed = ParseListenAddress(listen);
  if (!parsed) throw ListenError("--admin-listen " + listen + ": " + parsed.error());
  return *parsed;
}

tcp::acceptor Listen(boost::asio::io_context& loop, const ListenAddress& wanted) {
  error_code error;
  tcp::resolver resolver(loop);
  const auto found = resolver.resolve(wanted.host, std::to_string(wanted.port),
                                      tcp::resolver::passive | tcp::resolver::numeric_service, error);
  // A name may have several addresses; the server uses the first one that this machine can listen on.
  for (const auto& entry : found) {
    const tcp::endpoint endpoint = entry.endpoint();
    tcp::acceptor acceptor(loop);
    acceptor.open(endpoint.protocol(), error);
    if (error) continue;
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (endpoint.address().is_v6()) {
      acceptor.set_option(boost::asio::ip::v6_only(!endpoint.address().is_unspecified()), error);
    }
    acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
    if (!error) return acceptor;
  }
  throw ListenError("cannot listen on " + ToString(wanted) + ": " + error.message() +
                    "; give --admin-listen an address that is free");
}

bool IsLoopback(const boost::asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6()).is_loopback();
  }
  return address.is_loopback();
}

}  // namespace

class AdminServer::Impl {
 public:
  Impl(AdminOptions options, Probes probes)
      : options_(std::move(options)),
        wanted_(Parse(options_.listen)),
        acceptor_(Listen(loop_, wanted_)),
        endpoint_(acceptor_.local_endpoint()),
        routes_(std::move(probes), IsLoopback(endpoint_.address()) ? HostGuard(wanted_.host) : HostGuard()),
        retry_(loop_) {
    log::Info("admin port is open", {{"address", address()}});
    Accept();
    thread_ = std::thread([this] { Run(); });
  }

  ~Impl() { Stop(); }

  std::string address() const {
    return ToString(ListenAddress{endpoint_.address().to_string(), endpoint_.port()});
  }

  void Stop() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
    error_code ignored;
    acceptor_.close(ignored);
    for (Session* session : sessions_) session->Close();
  }

 private:
  void Run() {
    for (;;) {
      try {
        loop_.run();
        return;
      } catch (const std::exception& error) {
        // Only that connection ends; the port stays open.
        log::Error("an admin connection failed and was closed", {{"error", error.what()}});
      }
    }
  }

  void Accept() {
    acceptor_.async_accept([this](const error_code& error, tcp::socket socket) {
      if (error == boost::asio::error::operation_aborted) return;
      if (error) {
        // Usually out of descriptors. Trying again at once would use the whole processor.
        retry_.expires_after(std::chrono::milliseconds(100));
        retry_.async_wait([this](const error_code& aborted) {
          if (!aborted) Accept();
        });
        return;
      }
      // This is the first step, so that a failure below does not end the accepting.
      Accept();
      if (sessions_.size() >= options_.max_connections) MakeRoom();
      const auto session = std::make_shared<Session>(
          std::move(socket), routes_, Session::Timeouts{options_.request_timeout, options_.timeout},
          [this](Session* ended) { std::erase(sessions_, ended); });
      sessions_.push_back(session.get());
      session->Start();
    });
  }

  // Closes one connection to make room for a new one, which may be the liveness check. It closes the oldest
  // of the connections whose clients lose least, and considers only the older half. Otherwise a client that
  // holds all connections but one could make each new connection close the one before it, before that one has
  // sent its request.
  void MakeRoom() {
    const auto end = sessions_.end() - static_cast<std::ptrdiff_t>(sessions_.size() / 2);
    const auto least = std::min_element(sessions_.begin(), end, [](const Session* one, const Session* other) {
      return one->stage() < other->stage();
    });
    Session* const session = *least;
    sessions_.erase(least);
    session->Close();
  }

  const AdminOptions options_;
  const ListenAddress wanted_;
  // The oldest first. Declared before the loop, because the loop's destructor destroys the remaining
  // sessions.
  std::vector<Session*> sessions_;
  boost::asio::io_context loop_{1};
  tcp::acceptor acceptor_;
  const tcp::endpoint endpoint_;
  const Routes routes_;
  boost::asio::steady_timer retry_;
  std::thread thread_;
};

AdminServer::AdminServer(AdminOptions options, Probes probes)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(probes))) {}

AdminServer::~AdminServer() = default;

std::string AdminServer::address() const { return impl_->address(); }

void AdminServer::Stop() { impl_->Stop(); }

}  // namespace postcall::admin
