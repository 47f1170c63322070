// What a hostile endpoint received and sent: one entry per request, one per connection. Any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "tests/support/endpoint_script.h"

namespace postcall::test {

struct RequestEntry {
  std::size_t number = 0;         // in order of arrival, from 0
  std::size_t connection = 0;     // ConnectionEntry::number
  std::size_t on_connection = 0;  // 0 for the first request of its connection
  std::string head;               // unchanged, with the empty line
  std::string body;               // the part that came
  std::string method;
  std::string target;
  std::string path;  // the target without its query
  bool http10 = false;
  Headers headers;        // names unchanged, values trimmed
  std::string call_id;    // callId in the part of the body that came; "" when there is none
  bool complete = false;  // the whole body came
  SteadyTime head_at{};   // the head was complete
  std::optional<SteadyTime> complete_at;
  std::string answer;                // the script's name
  std::optional<int> answer_status;  // the status that the script sends, if it gets that far
  std::optional<SteadyTime> answer_began_at;
  std::optional<SteadyTime> answer_ended_at;  // all of it was written to the socket

  // The value of the first header of this name, in upper or lower case.
  std::optional<std::string> Header(const std::string& name) const;
};

struct ConnectionEntry {
  std::size_t number = 0;  // from 0
  SteadyTime accepted_at{};
  std::string from;  // the address of the other end
  std::size_t requests = 0;
  std::string server_name;               // SNI, TLS only
  std::optional<std::string> tls_error;  // the handshake failed
  std::optional<SteadyTime> closed_at;   // by either side
};

class RequestLedger {
 public:
  std::vector<RequestEntry> Requests() const;
  std::vector<ConnectionEntry> Connections() const;
  std::size_t RequestCount() const;
  std::size_t ConnectionCount() const;
  std::map<std::string, std::size_t> RequestsPerCall() const;

  using Requested = std::vector<RequestEntry>;
  using Connected = std::vector<ConnectionEntry>;
  // Waits until `done` is true; false when `limit` passes first. `done` is called at every change, with the
  // ledger's lock held.
  bool WaitFor(const std::function<bool(const Requested&, const Connected&)>& done,
               std::chrono::milliseconds limit) const;
  bool WaitForRequests(std::size_t count, std::chrono::milliseconds limit = std::chrono::seconds(20)) const;

  // The endpoint calls these.
  std::size_t AddConnection(std::string from);  // its number
  std::size_t AddRequest(RequestEntry entry);
  void ChangeConnection(std::size_t number, const std::function<void(ConnectionEntry&)>& change);
  void ChangeRequest(std::size_t number, const std::function<void(RequestEntry&)>& change);

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Requested requests_;
  Connected connections_;
};

}  // namespace postcall::test
