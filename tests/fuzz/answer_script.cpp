#include "tests/fuzz/answer_script.h"

#include <algorithm>
#include <cctype>

namespace postcall::fuzz {
namespace {

using Kind = AnswerStep::Kind;

// The bytes of one answer, until a mark says what to do with them.
class Writer {
 public:
  void Byte(char c) { piece_ += c; }

  void Repeat(unsigned exponent) {
    const std::string once = piece_;
    for (std::size_t i = 1; i < std::size_t{1} << exponent && size_ + piece_.size() < kMaxAnswerBytes; ++i) {
      piece_ += once;
    }
    size_ += piece_.size();
    bytes_ += piece_;
    piece_.clear();
  }

  void Send() {
    Repeat(0);
    if (!bytes_.empty() && !over_) answer_.steps.push_back({Kind::kSend, bytes_});
    bytes_.clear();
  }

  void End(Kind kind) {
    Send();
    if (!over_) answer_.steps.push_back({kind, {}});
    over_ = true;
  }

  void Early() { answer_.early = true; }

  AnswerScript Take() {
    Send();
    return std::move(answer_);
  }

 private:
  AnswerScript answer_;
  std::string bytes_, piece_;
  std::size_t size_ = 0;
  bool over_ = false;
};

// "HTTP/1.1 200 OK" gives 200, and so do "HTTP/2 200" and more spaces.
int StatusOf(std::string_view line) {
  const auto is_digit = [&line](std::size_t i) {
    return i < line.size() && line[i] >= '0' && line[i] <= '9';
  };
  if (!line.starts_with("HTTP/") || !is_digit(5)) return 0;
  std::size_t at = 6;
  if (at < line.size() && line[at] == '.') {
    if (!is_digit(7)) return 0;
    at = 8;
  }
  if (at >= line.size() || line[at] != ' ') return 0;
  while (at + 1 < line.size() && (line[at + 1] == ' ' || line[at + 1] == '\t')) ++at;
  if (!is_digit(at + 1) || !is_digit(at + 2) || !is_digit(at + 3)) return 0;
  if (is_digit(at + 4)) return 0;
  return (line[at + 1] - '0') * 100 + (line[at + 2] - '0') * 10 + (line[at + 3] - '0');
}

// Removes a line with its end and returns it; no value when its end has not come.
bool TakeLine(std::string_view& bytes, std::string_view& line) {
  const std::size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return false;
  line = bytes.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  bytes.remove_prefix(end + 1);
  return true;
}

bool NamesTransferEncoding(std::string_view line) {
  std::string lower(line);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower.find("transfer-encoding") != std::string::npos;
}

}  // namespace

std::vector<AnswerScript> ReadAnswers(std::string_view input) {
  std::vector<AnswerScript> answers;
  Writer writer;
  for (std::size_t i = 0; i < input.size(); ++i) {
    if (input[i] != '~' || i + 1 == input.size()) {
      writer.Byte(input[i]);
      continue;
    }
    const char mark = input[++i];
    if (mark >= '0' && mark <= '9') {
      writer.Repeat(static_cast<unsigned>(mark - '0'));
    } else if (mark == '|') {
      writer.Send();
    } else if (mark == 'f') {
      writer.End(Kind::kFin);
    } else if (mark == 'r') {
      writer.End(Kind::kReset);
    } else if (mark == 'h') {
      writer.End(Kind::kSilence);
    } else if (mark == 'e') {
      writer.Early();
    } else if (mark == 'n') {
      answers.push_back(writer.Take());
      writer = Writer();
      if (answers.size() == kMaxAnswers) return answers;
    } else {
      writer.Byte(mark);
    }
  }
  answers.push_back(writer.Take());
  return answers;
}

FinalResponse FindFinalResponse(std::string_view bytes) {
  FinalResponse response;
  std::string_view line;
  while (TakeLine(bytes, line)) {
    response = {};
    const int status = StatusOf(line);
    response.is_doubtful = line.starts_with('\0');
    if (status == 0) return response;
    bool whole = false;
    while (!whole && !response.is_doubtful && TakeLine(bytes, line)) {
      whole = line.empty() || line.starts_with('\r');  // as libcurl reads it
      response.body_is_encoded = response.body_is_encoded || NamesTransferEncoding(line);
      response.is_doubtful = line.starts_with('\0');
    }
    if (status >= 200) {
      response.status = status;
      response.has_head = whole;
      response.body = bytes;
    }
    if (status >= 200 || status == 101 || !whole) return response;  // after 101 another protocol follows
  }
  // The rest is not a complete line yet.
  response.is_doubtful = response.is_doubtful || bytes.starts_with('\0');
  return response;
}

}  // namespace postcall::fuzz
