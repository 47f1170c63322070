// Parses what a client of PostgreSQL sends on one connection (frontend messages of protocol 3, unencrypted):
// which statements a transaction ran, also prepared ones, and when its COMMIT comes. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace postcall::test {

class StatementWatch {
 public:
  // Takes the next bytes, which may end anywhere. When they have a COMMIT, it returns the text of all
  // statements of that transaction.
  std::optional<std::string> Read(std::string_view bytes);

 private:
  void ReadMessage(char type, std::string_view body, std::optional<std::string>& committed);

  std::string unread_;
  bool started_ = false;                         // the first message has no type
  std::map<std::string, std::string> prepared_;  // texts by name; "" is the unnamed one
  std::string transaction_;
};

}  // namespace postcall::test
