// A scripted HTTP/1.1 server for tests, with a thread of its own. It answers as its script says, even with
// faulty answers, and keeps a ledger. It can have thousands of connections. Any thread may call the public
// functions; choosers run on the endpoint's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/certificates.h"
#include "tests/support/endpoint_script.h"
#include "tests/support/request_ledger.h"

namespace postcall::test {

struct TlsOptions {
  Certificate certificate = {};
  int lowest_version = 0;    // TLS1_2_VERSION of OpenSSL and the like; 0 for no limit
  int highest_version = 0;   // TLS1_1_VERSION makes a server that is too old
  std::string ciphers = {};  // of TLS 1.2, with OpenSSL's names; empty for its default
  std::string groups = {};   // of the key exchange, in the same way
  bool demands_client_certificate = false;
  int alert = 0;  // the TLS alert that answers every handshake; 0 for none
};

struct EndpointOptions {
  std::string address = "127.0.0.1";  // any address of this machine, IPv6 too
  std::uint16_t port = 0;
  std::optional<TlsOptions> tls = {};
  bool keep_ledger = true;  // false: only `on_request` gets the requests, and memory does not grow
  // Called on the endpoint's thread, before the answer begins.
  std::function<void(const RequestEntry&)> on_request = {};
};

// What happens to a connection before its first request is read.
struct ConnectionScript {
  Script at_accept = {};  // on the plain socket, before TLS
  std::chrono::milliseconds handshake_drip{
      0};                   // TLS: the server sends its part byte by byte, at this interval
  Script established = {};  // after TLS: for example, an answer before the request
};

// When the answer begins: when the whole request has been read, or at the end of its head with the body
// unread. In the second case the body is read after the script if that ends with kContinue, and never if it
// hangs.
enum class AnswerAt { kRequestEnd, kHeadEnd };

class HostileEndpoint {
 public:
  using Chooser = std::function<Script(const RequestEntry&)>;
  using ConnectionChooser = std::function<ConnectionScript(std::size_t connection)>;  // number from 0

  // Listens at once. By default it answers 200 with the body "ok". Throws std::system_error.
  explicit HostileEndpoint(EndpointOptions options = {});
  ~HostileEndpoint();
  HostileEndpoint(const HostileEndpoint&) = delete;
  HostileEndpoint& operator=(const HostileEndpoint&) = delete;

  std::uint16_t port() const;
  // "https://127.0.0.1:4433/path"; with `host` instead of the address when it is given.
  std::string Url(const std::string& target = "/", const std::string& host = "") const;

  // The answer to requests for this path (with any query), from now on.
  void On(const std::string& path, Script script, AnswerAt at = AnswerAt::kRequestEnd);
  void On(const std::string& path, Chooser chooser, AnswerAt at = AnswerAt::kRequestEnd);
  // The answer to all other paths.
  void Otherwise(Script script, AnswerAt at = AnswerAt::kRequestEnd);
  void Otherwise(Chooser chooser, AnswerAt at = AnswerAt::kRequestEnd);
  void OnConnection(ConnectionScript script);
  void OnConnection(ConnectionChooser chooser);

  // Closes every connection that is open now, like a server that restarts. It still listens.
  void CloseConnections();
  // Refuses connections from now on.
  void StopListening();

  RequestLedger& ledger();
  const RequestLedger& ledger() const;

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

}  // namespace postcall::test
