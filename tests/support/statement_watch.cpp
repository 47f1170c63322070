#include "tests/support/statement_watch.h"

namespace postcall::test {
namespace {

// The requests to encrypt, SSLRequest and GSSENCRequest. The server declines them before the real start.
constexpr std::uint32_t kSslRequest = 80877103;
constexpr std::uint32_t kGssRequest = 80877104;

std::uint32_t Number(std::string_view bytes) {
  std::uint32_t number = 0;
  for (int i = 0; i < 4; ++i) {
    number = number << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
  }
  return number;
}

// Removes the text up to the NUL, and the NUL, and returns the text.
std::string_view Word(std::string_view& body) {
  const std::size_t end = body.find('\0');
  const std::string_view word = body.substr(0, end);
  body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
  return word;
}

}  // namespace

std::optional<std::string> StatementWatch::Read(std::string_view bytes) {
  unread_ += bytes;
  std::optional<std::string> committed;
  std::string_view rest = unread_;
  while (true) {
    const std::size_t head = started_ ? 1 : 0;
    if (rest.size() < head + 4) break;
    const std::size_t length = Number(rest.substr(head));  // it includes its own four bytes
    if (rest.size() < head + length || length < 4) break;
    const std::string_view body = rest.substr(head + 4, length - 4);
    if (started_) {
      ReadMessage(rest.front(), body, committed);
    } else {
      started_ = Number(body) != kSslRequest && Number(body) != kGssRequest;
    }
    rest.remove_prefix(head + length);
  }
  unread_ = std::string(rest);
  return committed;
}

void StatementWatch::ReadMessage(char type, std::string_view body, std::optional<std::string>& committed) {
  if (type == 'P') {  // Parse: name, text
    const std::string name(Word(body));
    prepared_[name] = Word(body);
  } else if (type == 'B') {  // Bind: portal, name of the statement
    Word(body);
    transaction_ += prepared_[std::string(Word(body))] + '\n';
  } else if (type == 'Q') {  // Query: text
    const std::string_view text = Word(body);
    if (text == "COMMIT") {
      committed = std::move(transaction_);
      transaction_.clear();
    } else if (text.starts_with("BEGIN") || text == "ROLLBACK") {
      transaction_.clear();
    } else {
      transaction_ += std::string(text) + '\n';
    }
  }
}

}  // namespace postcall::test
