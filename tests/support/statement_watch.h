// Reads along what a client of PostgreSQL sends (frontend messages of protocol 3, unencrypted): which
// statements a transaction ran, prepared ones too, and when its COMMIT goes by. One connection's; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace postcall::test {

class StatementWatch {
 public:
  // The next bytes, cut anywhere. When they hold a COMMIT: the text of all that its transaction ran.
  std::optional<std::string> Read(std::string_view bytes);

 private:
  void ReadMessage(char type, std::string_view body, std::optional<std::string>& committed);

  std::string unread_;
  bool started_ = false;                         // the first message has no type
  std::map<std::string, std::string> prepared_;  // texts by name; "" is the unnamed one
  std::string transaction_;
};

}  // namespace postcall::test
