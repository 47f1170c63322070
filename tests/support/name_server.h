// A scripted DNS server with a thread of its own: UDP, and TCP on the same port for answers that do not fit.
// Any thread may call the public functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace postcall::test {

struct NameAnswer {
  enum class Kind {
    kAddresses,  // the addresses of the type in the question; without any, an answer without data
    kNoSuchName,
    kServerFailure,
    kRefused,
    kSilence,
    kGarbage,   // a datagram that is not a DNS message, but has the right id
    kEmpty,     // a datagram without bytes
    kCutShort,  // the right answer, but it ends in the middle of its last record
  };

  Kind kind = Kind::kAddresses;
  // IPv4 and IPv6 mixed; the answer to each type has its own addresses, in this order.
  std::vector<std::string> addresses;
  std::uint32_t ttl = 60;  // seconds
  std::string alias;       // when set, a CNAME to it comes before the addresses
  std::chrono::milliseconds delay{0};
  bool only_v4 = false;  // questions for IPv6 are answered without data, whatever `kind` says

  static NameAnswer Addresses(std::vector<std::string> addresses, std::uint32_t ttl = 60);
  static NameAnswer NoData() { return {}; }
  static NameAnswer Of(Kind kind);
};

struct NameQuery {
  enum class Type : std::uint16_t { kA = 1, kAaaa = 28 };

  std::string name;  // lower case, without the final dot
  Type type;         // other types keep their number
  bool tcp = false;
};

class NameServer {
 public:
  // Throws std::system_error when the address is taken.
  explicit NameServer(const std::string& address = "127.0.0.1", std::uint16_t port = 0);
  ~NameServer();
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;

  std::uint16_t port() const;
  std::string address() const;  // "127.0.0.1:5353"

  // The n-th query of a type gets the n-th answer, later queries get the last one. Names without a script do
  // not exist.
  void Script(const std::string& name, NameAnswer answer);
  void Script(const std::string& name, std::vector<NameAnswer> answers);

  std::vector<NameQuery> Queries() const;
  std::size_t Count(const std::string& name) const;  // both types
  std::size_t Count(const std::string& name, NameQuery::Type type) const;
  void Forget();  // clears the log of queries; the scripts continue where they are

  // Waits until `done` is true for the log; false when `limit` passes first.
  bool WaitFor(const std::function<bool(const std::vector<NameQuery>&)>& done,
               std::chrono::milliseconds limit) const;

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

}  // namespace postcall::test
