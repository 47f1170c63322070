// What the endpoint of response_fuzz does, as the input says: it has bytes to send, and marks between them.
// Pure.
//
//   ~|  the engine runs before more is sent               ~0 … ~9  bytes since the last mark, 2^n times
//   ~f  end of the answer: FIN                            ~r  RST
//   ~h  silence until the engine gives up                 ~n  the next POST's answer begins
//   ~e  at the beginning: the request is big, and the answer comes before all of it was read
//   ~~  a '~'
//
// Without ~f, ~r or ~h the connection stays open for the next POST.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace postcall::fuzz {

struct AnswerStep {
  enum class Kind { kSend, kFin, kReset, kSilence };
  Kind kind;
  std::string bytes;  // of kSend; not empty
};

struct AnswerScript {
  bool early = false;
  std::vector<AnswerStep> steps;
};

inline constexpr std::size_t kMaxAnswers = 4;
inline constexpr std::size_t kMaxAnswerBytes = std::size_t{160} * 1024;

// At least one.
std::vector<AnswerScript> ReadAnswers(std::string_view input);

// The final response in `bytes`, as a simple reader sees it: a status line is "HTTP/", a version, a space and
// three digits, and a head ends with an empty line.
struct FinalResponse {
  int status = 0;                // 0: none yet, or something that is not a status line
  bool has_head = false;         // the head is complete, and `body` is everything after it, unchanged
  bool body_is_encoded = false;  // a transfer coding
  std::string_view body;
  // When a line of a head begins with NUL, libcurl 7.88 skips bytes that it has read, so it is not known what
  // it sees.
  bool is_doubtful = false;
};
FinalResponse FindFinalResponse(std::string_view bytes);

}  // namespace postcall::fuzz
