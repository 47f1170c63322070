// An endpoint that never acts by itself: it makes one step whenever the engine has nothing more to do. So
// each run is the same, and it needs no second thread. It is plain HTTP on loopback, for one POST after the
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

  // Starts with the next POST, which has `target` and gets `answer`. All bytes of the one before have
  // arrived. `answer` outlives this object.
  void Expect(const std::string& target, const AnswerScript& answer);

  // Reads what has come, then makes the next step of the answer. False when there was nothing to do.
  bool Step();
  // The answer ends with a silence.
  bool silent() const;
  // The engine has run and waits for more, so this sends FIN. False when there is nothing to close.
  bool GiveUp();
  // The POST is over for the engine, so this sends the rest of the answer.
  void Finish();
  // Closes all connections, after it has read what came.
  void ResetAll();

  // The number of requests for the expected POST. More than one request ends the process.
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
