// A UUID as 16 bytes. Any thread; a value type.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace postcall {

struct Uuid {
  std::array<std::uint8_t, 16> bytes{};

  // A version 4 UUID from the system's random source. Throws std::system_error when that source fails.
  static Uuid Random();

  // Lower case, 8-4-4-4-12.
  std::string ToString() const;
  // Reads a text as ToString and PostgreSQL write it.
  static Uuid Parse(std::string_view text);

  friend bool operator==(const Uuid&, const Uuid&) = default;
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

}  // namespace postcall

template <>
struct std::hash<postcall::Uuid> {
  std::size_t operator()(const postcall::Uuid& uuid) const noexcept {
    std::size_t value = 0;
    for (const std::uint8_t byte : uuid.bytes) value = value * 131 + byte;
    return value;
  }
};
