// DNS messages on the wire (RFC 1035), as far as a scripted server needs them. Pure; any thread.
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
  std::vector<std::uint8_t> section;  // the question as it came, to be sent back
  NameQuery::Type type{};
  std::size_t largest_datagram = 512;  // or what EDNS says
};

// Nothing when the message is no query with one question.
std::optional<DnsQuestion> ParseQuestion(const std::vector<std::uint8_t>& message);

// The answer's message; longer than `limit` it becomes an empty one with the truncation bit.
std::vector<std::uint8_t> MakeAnswer(const DnsQuestion& question, const NameAnswer& answer,
                                     std::size_t limit);

}  // namespace postcall::test
