// A scripted DNS server on its own thread: UDP, and TCP on the same port for what does not fit. Public
// functions are for any thread.
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
    kAddresses,  // those of the type asked for; none of that type is an answer without data
    kNoSuchName,
    kServerFailure,
    kRefused,
    kSilence,
    kGarbage,  // a datagram that is no DNS message, though its id is right
  };

  Kind kind = Kind::kAddresses;
  std::vector<std::string>
      addresses;           // IPv4 and IPv6 mixed; each type is answered with its own, in this order
  std::uint32_t ttl = 60;  // seconds
  std::string alias;       // when set, a CNAME to it stands before the addresses
  std::chrono::milliseconds delay{0};

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

  // The n-th query of a type gets the n-th answer, later ones the last. Names never scripted do not exist.
  void Script(const std::string& name, NameAnswer answer);
  void Script(const std::string& name, std::vector<NameAnswer> answers);

  std::vector<NameQuery> Queries() const;
  std::size_t Count(const std::string& name) const;  // both types
  std::size_t Count(const std::string& name, NameQuery::Type type) const;
  void Forget();  // empties the log of queries; the scripts go on where they are

  // Until `done` holds for the log; false when `limit` passed first.
  bool WaitFor(const std::function<bool(const std::vector<NameQuery>&)>& done,
               std::chrono::milliseconds limit) const;

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

}  // namespace postcall::test
