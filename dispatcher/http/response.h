// The response of one attempt, as libcurl's callbacks deliver it: which part comes now, and how much of it is
// read (CONTRACT §2). One thread, the loop's.
//
//                request           status            empty         nothing left
//                 sent              line             line            to read
//    kNotExpected ----> kStatusLine ----> kHeaders --------> kBody ----------> kComplete
//                            ^               |
//                            +---------------+
//                         empty line, status < 200
//
// From each state except the first, the endpoint can end the reading: kNotHttp, kSwitched, kTooManyHeaders,
// kBodyCut. These are final. There is no table of legal transitions (StateMachine), because the endpoint
// chooses them and must not be able to end the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "dispatcher/http/reachability.h"

namespace postcall::http {

// The most that is read of a body, and of headers, trailers and 1xx responses together (CONTRACT §2).
inline constexpr std::size_t kMaxBodyBytes = std::size_t{64} * 1024;
inline constexpr std::size_t kMaxHeaderBytes = std::size_t{64} * 1024;
// The most bytes that a response may have on the wire. It is enough for the two limits above even if each
// byte of the body is a chunk of its own, and each chunk a TLS record of its own. This limit is needed
// because libcurl reads chunk extensions without a limit and without a callback.
inline constexpr std::uint64_t kMaxWireBytes = std::uint64_t{512} * 1024;

enum class ResponseState {
  kNotExpected,     // the request is not sent yet
  kStatusLine,      // a head begins: the first, or the next after a 1xx
  kHeaders,         // the header lines of that head
  kBody,            // the head of the final response is complete; the body and the trailers follow
  kComplete,        // the response is complete, although part of the request may not be sent yet
  kNotHttp,         // a head has no status line, even if libcurl accepts it
  kSwitched,        // a 101: another protocol follows, which the request did not ask for
  kTooManyHeaders,  // more than kMaxHeaderBytes
  kBodyCut,         // kMaxBodyBytes of the body have been read
};

struct ResponseFacts {
  ResponseState state = ResponseState::kNotExpected;
  std::optional<SteadyTime> first_byte_at;
  std::size_t body_bytes = 0;
  std::string body;  // the first bytes
};

class Response {
 public:
  // Keeps the first `kept_bytes` of the body.
  Response(Reachability& reachability, std::size_t kept_bytes)
      : reachability_(reachability), kept_bytes_(kept_bytes) {}

  // The request is sent: all bytes from now on are the response.
  void Expect() { facts_.state = ResponseState::kStatusLine; }

  // The first byte is expected and has not come yet.
  bool AwaitsFirstByte() const { return IsExpected() && !facts_.first_byte_at; }
  bool IsExpected() const { return facts_.state != ResponseState::kNotExpected; }
  // Call it when a byte of the response has come; the first call counts.
  void NoteFirstByte();

  // One line of a head or trailer, with its line end; `status` is what libcurl read from the status line.
  // False when the reading must end.
  bool OnHeader(std::string_view line, long status);
  // A part of the body; `content_length` is -1 when the response has none. False when the reading must end.
  bool OnBody(std::string_view bytes, std::int64_t content_length);
  // libcurl has read everything, although it still wants to send.
  void OnNothingLeftToRead();

  // This head had a valid status line, so the status that libcurl reports is right.
  bool HasStatusLine() const;
  const ResponseFacts& facts() const { return facts_; }

 private:
  bool MayRead() const;

  Reachability& reachability_;
  const std::size_t kept_bytes_;
  std::size_t header_bytes_ = 0;
  ResponseFacts facts_;
};

// Whether the line ends a head. For libcurl that is each line that begins with a line end, whatever follows.
inline bool EndsHead(std::string_view line) { return line.starts_with('\r') || line.starts_with('\n'); }

}  // namespace postcall::http
