#include "tests/support/dns_message.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <stdexcept>

namespace postcall::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kHeaderSize = 12;
constexpr std::uint16_t kCname = 5;
constexpr std::uint16_t kOpt = 41;
constexpr std::uint16_t kQuestionName = 0xc000 | kHeaderSize;  // a pointer to the question's name

void Put16(Bytes& bytes, std::size_t value) {
  bytes.push_back(static_cast<std::uint8_t>(value >> 8));
  bytes.push_back(static_cast<std::uint8_t>(value));
}

std::uint16_t Get16(const Bytes& bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}

Bytes EncodeName(const std::string& name) {
  Bytes bytes;
  for (std::size_t begin = 0; begin < name.size();) {
    const std::size_t end = std::min(name.find('.', begin), name.size());
    bytes.push_back(static_cast<std::uint8_t>(end - begin));
    bytes.insert(bytes.end(), name.begin() + static_cast<std::ptrdiff_t>(begin),
                 name.begin() + static_cast<std::ptrdiff_t>(end));
    begin = end + 1;
  }
  bytes.push_back(0);
  return bytes;
}

void PutRecord(Bytes& bytes, const Bytes& owner, std::uint16_t type, std::uint32_t ttl, const Bytes& data) {
  bytes.insert(bytes.end(), owner.begin(), owner.end());
  Put16(bytes, type);
  Put16(bytes, 1);  // IN
  Put16(bytes, ttl >> 16);
  Put16(bytes, ttl & 0xffff);
  Put16(bytes, data.size());
  bytes.insert(bytes.end(), data.begin(), data.end());
}

template <class Address>
Bytes AddressBytes(const Address& address) {
  const auto array = address.to_bytes();
  return Bytes(array.begin(), array.end());
}

// Appends the records and returns how many there are.
std::size_t PutRecords(Bytes& bytes, const DnsQuestion& question, const NameAnswer& answer) {
  Bytes owner;
  Put16(owner, kQuestionName);
  std::size_t count = 0;
  if (!answer.alias.empty()) {
    const Bytes target = EncodeName(answer.alias);
    PutRecord(bytes, owner, kCname, answer.ttl, target);
    owner = target;
    ++count;
  }
  for (const std::string& text : answer.addresses) {
    const auto address = boost::asio::ip::make_address(text);
    const auto type = address.is_v4() ? NameQuery::Type::kA : NameQuery::Type::kAaaa;
    if (type != question.type) continue;
    PutRecord(bytes, owner, static_cast<std::uint16_t>(type), answer.ttl,
              address.is_v4() ? AddressBytes(address.to_v4()) : AddressBytes(address.to_v6()));
    ++count;
  }
  return count;
}

unsigned ResponseCode(NameAnswer::Kind kind) {
  switch (kind) {
    case NameAnswer::Kind::kServerFailure:
      return 2;
    case NameAnswer::Kind::kNoSuchName:
      return 3;
    case NameAnswer::Kind::kRefused:
      return 5;
    case NameAnswer::Kind::kAddresses:
    case NameAnswer::Kind::kSilence:
    case NameAnswer::Kind::kGarbage:
    case NameAnswer::Kind::kEmpty:
    case NameAnswer::Kind::kCutShort:
      break;
  }
  return 0;
}

Bytes MakeMessage(const DnsQuestion& question, unsigned code, bool truncated, std::size_t count,
                  const Bytes& records) {
  Bytes bytes;
  Put16(bytes, question.id);
  constexpr unsigned kResponse = 0x8000;
  constexpr unsigned kAuthoritative = 0x0400;
  constexpr unsigned kTruncated = 0x0200;
  constexpr unsigned kRecursionDesired = 0x0100;
  constexpr unsigned kRecursionAvailable = 0x0080;
  Put16(bytes, kResponse | kAuthoritative | kRecursionAvailable | code | (truncated ? kTruncated : 0) |
                   (question.recursion_desired ? kRecursionDesired : 0));
  Put16(bytes, 1);
  Put16(bytes, count);
  Put16(bytes, 0);
  Put16(bytes, 0);
  bytes.insert(bytes.end(), question.section.begin(), question.section.end());
  bytes.insert(bytes.end(), records.begin(), records.end());
  return bytes;
}

}  // namespace

std::optional<DnsQuestion> ParseQuestion(const Bytes& message) {
  try {
    const bool is_query = (message.at(2) & 0x80) == 0;
    if (!is_query || Get16(message, 4) != 1) return std::nullopt;
    DnsQuestion question;
    question.id = Get16(message, 0);
    question.recursion_desired = (message.at(2) & 1) != 0;
    std::size_t at = kHeaderSize;
    while (const std::size_t size = message.at(at)) {
      if (!question.name.empty()) question.name += '.';
      for (std::size_t i = 1; i <= size; ++i) question.name += static_cast<char>(message.at(at + i));
      at += size + 1;
    }
    question.type = static_cast<NameQuery::Type>(Get16(message, at + 1));
    at += 5;
    question.section.assign(message.begin() + kHeaderSize, message.begin() + static_cast<std::ptrdiff_t>(at));
    // EDNS: an OPT record with the root as its name; its class is the size (RFC 6891 §6.1.2).
    if (Get16(message, 10) > 0 && message.at(at) == 0 && Get16(message, at + 1) == kOpt) {
      question.largest_datagram = std::max<std::size_t>(512, Get16(message, at + 3));
    }
    return question;
  } catch (const std::out_of_range&) {
    return std::nullopt;
  }
}

Bytes MakeAnswer(const DnsQuestion& question, const NameAnswer& answer, std::size_t limit) {
  if (answer.kind == NameAnswer::Kind::kGarbage) {
    Bytes garbage(40, 0xff);
    garbage[0] = static_cast<std::uint8_t>(question.id >> 8);
    garbage[1] = static_cast<std::uint8_t>(question.id);
    return garbage;
  }
  if (answer.kind == NameAnswer::Kind::kEmpty) return {};
  Bytes records;
  const bool cut_short = answer.kind == NameAnswer::Kind::kCutShort;
  const bool found = answer.kind == NameAnswer::Kind::kAddresses || cut_short;
  const std::size_t count = found ? PutRecords(records, question, answer) : 0;
  if (cut_short && !records.empty()) records.pop_back();
  Bytes message = MakeMessage(question, ResponseCode(answer.kind), false, count, records);
  if (message.size() <= limit) return message;
  return MakeMessage(question, ResponseCode(answer.kind), true, 0, {});
}

}  // namespace postcall::test
