// A TCP proxy in front of a PostgreSQL server. It can fail at a chosen moment of a commit. A thread of its
// own passes the bytes; any thread may call the public functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace postcall::test {

// What happens to the connection whose COMMIT is chosen. "Cut" closes both sides.
enum class CommitFault {
  kNone,
  kPass,              // no fault: `then` is called, then the answer passes
  kCutBeforeRequest,  // the server never sees the COMMIT
  kCutBeforeAnswer,   // the server has committed, but the client gets no answer
  kCutAfterAnswer,    // the client gets the answer, then its connection is closed
  kHold,  // the client's connection is closed; the server gets the COMMIT at ReleaseHeld, or never
};

class TcpProxy {
 public:
  // Listens on a free port of 127.0.0.1 and passes to `server_port` there. Throws std::runtime_error.
  explicit TcpProxy(std::uint16_t server_port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  std::uint16_t port() const;

  // Chooses the next COMMIT, or the next COMMIT of a transaction with a statement that contains the text
  // `of`. The proxy's thread calls `then` at the moment of the fault; with kCutBeforeAnswer the server has
  // committed by then.
  void FailNextCommit(CommitFault fault, const std::string& of = "", std::function<void()> then = {});
  // Passes the COMMIT that kHold kept back to the server.
  void ReleaseHeld();
  // Closes the connection to the server instead, so the server rolls back.
  void DropHeld();

  // While set, the proxy accepts bytes and connections but passes nothing on, like a server that is stopped.
  void Stall(bool stalled);

  // Closes both sides of every connection that is open now.
  void CutAll();

  // The number of faults so far.
  int faults() const;
  bool WaitForFaults(int count, std::chrono::milliseconds limit = std::chrono::seconds(20)) const;
  // The number of connections that clients have made so far.
  int connections() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace postcall::test
