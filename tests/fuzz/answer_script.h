// What the endpoint of response_fuzz does, as the input says it: bytes as they are, and marks between them.
// Pure.
//
//   ~|  the engine takes its turn before more is sent     ~0 … ~9  what stands since the last mark, 2^n times
//   ~f  end of the answer: FIN                            ~r  RST
//   ~h  silence until the engine gives up                 ~n  the next POST's answer begins
//   ~e  at the beginning: the answer comes before all of the request, a big one, was read
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

// The final response in `bytes`, as a simple reader sees it: a status line says "HTTP/", a version, a blank
// and three digits, and a head ends with an empty line.
struct FinalResponse {
  int status = 0;                // 0: none yet, or something else stands there
  bool has_head = false;         // the head is complete, and `body` is what follows as it came
  bool body_is_encoded = false;  // a transfer coding
  std::string_view body;
  // libcurl 7.88 passes over what it has read when a line of a head begins with NUL, so nobody can say what
  // it sees.
  bool is_doubtful = false;
};
FinalResponse FindFinalResponse(std::string_view bytes);

}  // namespace postcall::fuzz
