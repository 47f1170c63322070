// A TCP proxy in front of a PostgreSQL server that fails at a chosen moment of a commit. Its own thread does
// the passing; the rest may be called by any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace postcall::test {

// What happens to the connection whose COMMIT is hit. "Cut" closes both sides.
enum class CommitFault {
  kNone,
  kPass,              // nothing: the answer passes, and `then` is called before it does
  kCutBeforeRequest,  // the server never sees it
  kCutBeforeAnswer,   // the server has committed, the client does not learn it
  kCutAfterAnswer,    // the client knows, and its connection is dead
  kHold,              // the client is cut; the server gets the request at ReleaseHeld, or never
};

class TcpProxy {
 public:
  // Listens on a free port of 127.0.0.1 and passes to `server_port` there. Throws std::runtime_error.
  explicit TcpProxy(std::uint16_t server_port);
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  std::uint16_t port() const;

  // Of the next COMMIT only, or of the next one of a transaction that ran a statement with the text `of` in
  // it. `then` is called by the proxy's thread at the moment of the fault: where the answer is cut, the
  // server has committed by then.
  void FailNextCommit(CommitFault fault, const std::string& of = "", std::function<void()> then = {});
  // Lets the server see the COMMIT that kHold kept from it.
  void ReleaseHeld();
  // Closes the connection to the server instead: it rolls back.
  void DropHeld();

  // While set, bytes and new connections are taken and go nowhere, as with a server that is stopped.
  void Stall(bool stalled);

  // Closes every connection that is open now, both sides.
  void CutAll();

  // Commits that were hit so far.
  int faults() const;
  bool WaitForFaults(int count, std::chrono::milliseconds limit = std::chrono::seconds(20)) const;
  // Connections made by clients so far.
  int connections() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace postcall::test
