#include "dispatcher/http/response.h"

#include <algorithm>

namespace postcall::http {
namespace {

// A status line such as "HTTP/1.1 200 OK". libcurl also accepts a line that only begins with "HTTP/", in
// upper or lower case, and treats it as a 200.
bool IsStatusLine(std::string_view line) {
  constexpr std::string_view kProtocol = "HTTP/";
  const auto digits = [&line] {
    const std::size_t count = std::min(line.find_first_not_of("0123456789"), line.size());
    line.remove_prefix(count);
    return count;
  };
  if (!line.starts_with(kProtocol)) return false;
  line.remove_prefix(kProtocol.size());
  if (digits() != 1) return false;
  if (line.starts_with('.')) {
    line.remove_prefix(1);
    if (digits() != 1) return false;
  }
  if (!line.starts_with(' ')) return false;
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return digits() == 3;
}

}  // namespace

void Response::NoteFirstByte() {
  if (facts_.first_byte_at) return;
  facts_.first_byte_at = Steady::now();
  reachability_.NoteAnswer(*facts_.first_byte_at);
}

bool Response::MayRead() const {
  switch (facts_.state) {
    case ResponseState::kStatusLine:
    case ResponseState::kHeaders:
    case ResponseState::kBody:
    case ResponseState::kComplete:
      return true;
    case ResponseState::kNotExpected:
    case ResponseState::kNotHttp:
    case ResponseState::kSwitched:
    case ResponseState::kTooManyHeaders:
    case ResponseState::kBodyCut:
      break;
  }
  return false;
}

bool Response::OnHeader(std::string_view line, long status) {
  if (!MayRead()) return false;
  NoteFirstByte();
  ResponseState& state = facts_.state;
  if (state == ResponseState::kStatusLine && !IsStatusLine(line)) {
    state = ResponseState::kNotHttp;
    return false;
  }
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes) {
    state = ResponseState::kTooManyHeaders;
  } else if (state == ResponseState::kStatusLine) {
    state = ResponseState::kHeaders;
  } else if (state == ResponseState::kHeaders && EndsHead(line)) {
    // libcurl treats everything after a 101 as a body.
    state = status == 101   ? ResponseState::kSwitched
            : status >= 200 ? ResponseState::kBody
                            : ResponseState::kStatusLine;
  }
  return MayRead();
}

bool Response::OnBody(std::string_view bytes, std::int64_t content_length) {
  if (!MayRead()) return false;
  const std::size_t taken = std::min(bytes.size(), kMaxBodyBytes - facts_.body_bytes);
  facts_.body_bytes += taken;
  const std::size_t room = kept_bytes_ - std::min(kept_bytes_, facts_.body.size());
  facts_.body.append(bytes.substr(0, std::min(taken, room)));
  if (facts_.body_bytes < kMaxBodyBytes) return true;
  // A body of exactly this size may be complete. If its Content-Length said so, libcurl ends the response.
  if (content_length == static_cast<std::int64_t>(kMaxBodyBytes)) return true;
  facts_.state = ResponseState::kBodyCut;
  return false;
}

void Response::OnNothingLeftToRead() {
  if (facts_.state == ResponseState::kBody) facts_.state = ResponseState::kComplete;
}

bool Response::HasStatusLine() const {
  return IsExpected() && facts_.state != ResponseState::kStatusLine &&
         facts_.state != ResponseState::kNotHttp;
}

}  // namespace postcall::http
