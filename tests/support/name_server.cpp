#include "tests/support/name_server.h"

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "tests/support/dns_message.h"

namespace postcall::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;

std::string Normalized(std::string name) {
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (!name.empty() && name.back() == '.') name.pop_back();
  return name;
}

}  // namespace

NameAnswer NameAnswer::Addresses(std::vector<std::string> addresses, std::uint32_t ttl) {
  NameAnswer answer;
  answer.addresses = std::move(addresses);
  answer.ttl = ttl;
  return answer;
}

NameAnswer NameAnswer::Of(Kind kind) {
  NameAnswer answer;
  answer.kind = kind;
  return answer;
}

class NameServer::Server {
 public:
  Server(const std::string& address, std::uint16_t port)
      : address_(asio::ip::make_address(address)), udp_(loop_), tcp_(loop_) {
    Bind(port);
    ReceiveUdp();
    AcceptTcp();
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~Server() {
    loop_.stop();
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  udp::endpoint endpoint() const { return bound_; }

  void SetScript(const std::string& name, std::vector<NameAnswer> answers) {
    const std::scoped_lock lock(mutex_);
    scripts_[Normalized(name)] = Scripted{std::move(answers), {}};
  }
  std::vector<NameQuery> Queries() const {
    const std::scoped_lock lock(mutex_);
    return queries_;
  }
  void Forget() {
    const std::scoped_lock lock(mutex_);
    queries_.clear();
  }
  bool WaitFor(const std::function<bool(const std::vector<NameQuery>&)>& done,
               std::chrono::milliseconds limit) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return done(queries_); });
  }

 private:
  struct Scripted {
    std::vector<NameAnswer> answers;
    std::map<NameQuery::Type, std::size_t> asked;
  };
  struct TcpSession {
    explicit TcpSession(tcp::socket held) : socket(std::move(held)) {}
    tcp::socket socket;
    std::array<unsigned char, 2> size{};
    std::vector<std::uint8_t> message;
  };
  using Bytes = std::vector<std::uint8_t>;

  // TCP and UDP use the same port. It tries ports until one is free for both.
  void Bind(std::uint16_t port) {
    for (int tries = 0;; ++tries) {
      udp_.open(address_.is_v4() ? udp::v4() : udp::v6());
      udp_.bind({address_, port});
      bound_ = udp_.local_endpoint();
      const tcp::endpoint same(address_, bound_.port());
      tcp_.open(same.protocol());
      tcp_.set_option(tcp::acceptor::reuse_address(true));
      error_code taken;
      tcp_.bind(same, taken);
      if (!taken) tcp_.listen(asio::socket_base::max_listen_connections, taken);
      if (!taken) return;
      if (port != 0 || tries == 20) throw boost::system::system_error(taken, "name server");
      udp_.close();
      tcp_.close();
    }
  }

  void ReceiveUdp() {
    udp_.async_receive_from(asio::buffer(datagram_), peer_, [this](error_code failed, std::size_t size) {
      if (failed == asio::error::operation_aborted) return;
      if (!failed) {
        const auto begin = datagram_.begin();
        Handle(Bytes(begin, begin + static_cast<std::ptrdiff_t>(size)), false,
               [this, to = peer_](Bytes bytes) {
                 error_code ignored;
                 udp_.send_to(asio::buffer(bytes), to, 0, ignored);
               });
      }
      ReceiveUdp();
    });
  }

  void AcceptTcp() {
    tcp_.async_accept([this](error_code failed, tcp::socket socket) {
      if (failed == asio::error::operation_aborted) return;
      if (!failed) ReadTcp(std::make_shared<TcpSession>(std::move(socket)));
      AcceptTcp();
    });
  }

  void ReadTcp(const std::shared_ptr<TcpSession>& session) {
    asio::async_read(session->socket, asio::buffer(session->size),
                     [this, session](error_code failed, std::size_t) {
                       if (failed) return;
                       session->message.resize(std::size_t{session->size[0]} << 8 | session->size[1]);
                       asio::async_read(session->socket, asio::buffer(session->message),
                                        [this, session](error_code cut, std::size_t) {
                                          if (cut) return;
                                          Handle(session->message, true, [session](const Bytes& bytes) {
                                            Bytes framed{static_cast<std::uint8_t>(bytes.size() >> 8),
                                                         static_cast<std::uint8_t>(bytes.size())};
                                            framed.insert(framed.end(), bytes.begin(), bytes.end());
                                            error_code ignored;
                                            asio::write(session->socket, asio::buffer(framed), ignored);
                                          });
                                          ReadTcp(session);
                                        });
                     });
  }

  void Handle(const Bytes& message, bool tcp, std::function<void(Bytes)> reply) {
    const std::optional<DnsQuestion> question = ParseQuestion(message);
    if (!question) return;
    const NameAnswer answer =
        Choose({.name = Normalized(question->name), .type = question->type, .tcp = tcp});
    if (answer.kind == NameAnswer::Kind::kSilence) return;
    Bytes bytes = MakeAnswer(*question, answer, tcp ? 65535 : question->largest_datagram);
    if (answer.delay.count() == 0) return reply(std::move(bytes));
    auto timer = std::make_shared<asio::steady_timer>(loop_, answer.delay);
    timer->async_wait([timer, reply = std::move(reply), bytes = std::move(bytes)](error_code stopped) {
      if (!stopped) reply(bytes);
    });
  }

  NameAnswer Choose(NameQuery query) {
    const std::scoped_lock lock(mutex_);
    NameAnswer answer = NameAnswer::Of(NameAnswer::Kind::kNoSuchName);
    if (const auto found = scripts_.find(query.name);
        found != scripts_.end() && !found->second.answers.empty()) {
      Scripted& script = found->second;
      // The same question over TCP is the second part of one query.
      const std::size_t turn = query.tcp ? script.asked[query.type] - 1 : script.asked[query.type]++;
      answer = script.answers[std::min(turn, script.answers.size() - 1)];
      if (answer.only_v4 && query.type == NameQuery::Type::kAaaa) answer = NameAnswer::NoData();
    }
    queries_.push_back(std::move(query));
    changed_.notify_all();
    return answer;
  }

  const asio::ip::address address_;
  mutable std::mutex mutex_;  // for the next three
  mutable std::condition_variable changed_;
  std::map<std::string, Scripted> scripts_;
  std::vector<NameQuery> queries_;

  asio::io_context loop_{1};
  udp::socket udp_;
  tcp::acceptor tcp_;
  udp::endpoint bound_;
  udp::endpoint peer_;
  std::array<std::uint8_t, 4096> datagram_{};
  std::thread thread_;
};

NameServer::NameServer(const std::string& address, std::uint16_t port)
    : server_(std::make_unique<Server>(address, port)) {}
NameServer::~NameServer() = default;

std::uint16_t NameServer::port() const { return server_->endpoint().port(); }

std::string NameServer::address() const {
  const udp::endpoint bound = server_->endpoint();
  const std::string host = bound.address().to_string();
  return (bound.address().is_v4() ? host : "[" + host + "]") + ":" + std::to_string(bound.port());
}

void NameServer::Script(const std::string& name, NameAnswer answer) {
  server_->SetScript(name, {std::move(answer)});
}
void NameServer::Script(const std::string& name, std::vector<NameAnswer> answers) {
  server_->SetScript(name, std::move(answers));
}

std::vector<NameQuery> NameServer::Queries() const { return server_->Queries(); }

std::size_t NameServer::Count(const std::string& name) const {
  const auto queries = Queries();
  return static_cast<std::size_t>(
      std::ranges::count_if(queries, [&](const NameQuery& query) { return query.name == Normalized(name); }));
}
std::size_t NameServer::Count(const std::string& name, NameQuery::Type type) const {
  const auto queries = Queries();
  return static_cast<std::size_t>(std::ranges::count_if(
      queries, [&](const NameQuery& query) { return query.name == Normalized(name) && query.type == type; }));
}

void NameServer::Forget() { server_->Forget(); }

bool NameServer::WaitFor(const std::function<bool(const std::vector<NameQuery>&)>& done,
                         std::chrono::milliseconds limit) const {
  return server_->WaitFor(done, limit);
}

}  // namespace postcall::test
