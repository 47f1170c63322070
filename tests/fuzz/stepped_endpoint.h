// An endpoint that never acts by itself: one step at a time, whenever the engine has nothing more to do. So a
// run is the same each time, and needs no second thread. Plain HTTP on loopback, for one POST after the
// other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>

#include "common/handle.h"
#include "tests/fuzz/answer_script.h"

namespace postcall::fuzz {

class SteppedEndpoint {
 public:
  SteppedEndpoint();

  std::uint16_t port() const { return port_; }

  // What was sent before has arrived. The next POST, whose target is `target` and whose answer is `answer`.
  // The answer outlives it.
  void Expect(const std::string& target, const AnswerScript& answer);

  // Reads what has come, then does the answer's next step. False when there was nothing to do.
  bool Step();
  // The answer says that nothing more shall come.
  bool silent() const;
  // The engine has had its turn and waits for more: FIN. False when there is nothing to close.
  bool GiveUp();
  // The POST is over for the engine: sends what is left of the answer.
  void Finish();
  // Leaves no connection behind. Reads what came before.
  void ResetAll();

  // Of the POST that is expected. More than one request ends the process.
  std::size_t requests() const { return requests_; }
  const std::string& sent() const { return sent_; }

 private:
  struct Connection {
    FileDescriptor socket;
    std::string unread;            // of the request, no more than its head
    std::size_t body_left = 0;     // to be read
    std::uint64_t bytes_sent = 0;  // of all answers
    bool closed = false;           // nothing more can be sent
  };

  bool Accept();
  bool Read(Connection& connection);
  void TakeHead(Connection& connection);
  bool Answer();
  void Reset(Connection& connection);
  static void WaitUntilArrived(const Connection& connection);

  FileDescriptor listener_;
  std::uint16_t port_ = 0;
  std::list<Connection> connections_;
  std::string target_;
  const AnswerScript* answer_ = nullptr;
  std::size_t next_step_ = 0;
  std::size_t step_sent_ = 0;  // of the next step's bytes
  Connection* answering_ = nullptr;
  std::size_t requests_ = 0;
  std::string sent_;
};

}  // namespace postcall::fuzz
