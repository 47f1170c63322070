#include "common/uuid.h"

#include <sys/random.h>
#include <cerrno>
#include <system_error>

namespace postcall {

Uuid Uuid::Random() {
  Uuid uuid;
  if (::getrandom(uuid.bytes.data(), uuid.bytes.size(), 0) != static_cast<ssize_t>(uuid.bytes.size())) {
    throw std::system_error(errno, std::generic_category(), "getrandom");
  }
  uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | 0x40);  // RFC 9562, version 4
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);  // and its variant
  return uuid;
}

std::string Uuid::ToString() const {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kHex[bytes[i] >> 4];
    text += kHex[bytes[i] & 0x0f];
  }
  return text;
}

Uuid Uuid::Parse(std::string_view text) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  Uuid uuid;
  std::size_t digit = 0;
  for (const char c : text) {
    if (c == '-') continue;
    std::uint8_t& byte = uuid.bytes.at(digit / 2);
    byte = static_cast<std::uint8_t>(byte * 16 + value(c));
    ++digit;
  }
  return uuid;
}

}  // namespace postcall
