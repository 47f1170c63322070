// DNS messages (RFC 1035), as much of them as a scripted server needs. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/name_server.h"

namespace postcall::test {

struct DnsQuestion {
  std::uint16_t id = 0;
  bool recursion_desired = false;
  std::string name;                   // as spelled in the query
  std::vector<std::uint8_t> section;  // the question unchanged, for the answer
  NameQuery::Type type{};
  std::size_t largest_datagram = 512;  // or the size that EDNS gives
};

// No value when the message is not a query with one question.
std::optional<DnsQuestion> ParseQuestion(const std::vector<std::uint8_t>& message);

// The answer's message. When it is longer than `limit`, an empty message with the truncation bit instead.
std::vector<std::uint8_t> MakeAnswer(const DnsQuestion& question, const NameAnswer& answer,
                                     std::size_t limit);

}  // namespace postcall::test
