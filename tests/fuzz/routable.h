// Which addresses are publicly routable, written a second time: from the registries, and in another way than
// dispatcher/egress/special_ranges.cpp, so that a mistake in one of them becomes visible (CONTRACT §6). Any
// thread; pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace postcall::fuzz {

// The first and the last address of each closed range.
inline constexpr std::uint32_t kClosedIpv4[][2] = {
    {0x00000000, 0x00FFFFFF},  // 0.0.0.0/8
    {0x0A000000, 0x0AFFFFFF},  // 10.0.0.0/8
    {0x64400000, 0x647FFFFF},  // 100.64.0.0/10
    {0x7F000000, 0x7FFFFFFF},  // 127.0.0.0/8
    {0xA83F8110, 0xA83F8110},  // 168.63.129.16
    {0xA9FE0000, 0xA9FEFFFF},  // 169.254.0.0/16
    {0xAC100000, 0xAC1FFFFF},  // 172.16.0.0/12
    {0xC0000000, 0xC00000FF},  // 192.0.0.0/24
    {0xC0000200, 0xC00002FF},  // 192.0.2.0/24
    {0xC01FC400, 0xC01FC4FF},  // 192.31.196.0/24
    {0xC034C100, 0xC034C1FF},  // 192.52.193.0/24
    {0xC0586300, 0xC05863FF},  // 192.88.99.0/24
    {0xC0A80000, 0xC0A8FFFF},  // 192.168.0.0/16
    {0xC0AF3000, 0xC0AF30FF},  // 192.175.48.0/24
    {0xC6120000, 0xC613FFFF},  // 198.18.0.0/15
    {0xC6336400, 0xC63364FF},  // 198.51.100.0/24
    {0xCB007100, 0xCB0071FF},  // 203.0.113.0/24
    {0xE0000000, 0xFFFFFFFF},  // 224.0.0.0/4, 240.0.0.0/4
};

inline bool IsRoutable(const std::array<unsigned char, 4>& b) {
  const std::uint32_t number =
      std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
  for (const auto& [first, last] : kClosedIpv4) {
    if (first <= number && number <= last) return false;
  }
  return true;
}

// The addresses at which open and closed ranges meet, in groups of 16 bits; the other groups are 0.
inline constexpr std::uint16_t kEdgesIpv6[][3] = {
    {0x2000, 0, 0},           {0x4000, 0, 0},           {0x2001, 0, 0}, {0x2001, 0x0200, 0},
    {0x2001, 0x0DB8, 0},      {0x2001, 0x0DB9, 0},      {0x2002, 0, 0}, {0x2003, 0, 0},
    {0x2620, 0x004F, 0x8000}, {0x2620, 0x004F, 0x8001}, {0x3FFF, 0, 0}, {0x3FFF, 0x1000, 0},
    {0xFC00, 0, 0},           {0xFE80, 0, 0},           {0xFF00, 0, 0}};

// Only 2000::/3 without five parts is open, and an address of 64:ff9b::/96 when its IPv4 address is open. All
// other addresses that contain an IPv4 address are outside 2000::/3 or in one of those parts.
inline bool IsRoutable(const std::array<unsigned char, 16>& b) {
  const auto group = [&b](std::size_t i) { return std::uint32_t{b[2 * i]} << 8 | b[2 * i + 1]; };
  const std::uint32_t group0 = group(0), group1 = group(1), group2 = group(2);
  if (group0 == 0x0064 && group1 == 0xFF9B) {
    const std::array<unsigned char, 4> inner = {b[12], b[13], b[14], b[15]};
    return (group2 | group(3) | group(4) | group(5)) == 0 && IsRoutable(inner);
  }
  if (group0 < 0x2000 || group0 > 0x3FFF) return false;
  if (group0 == 0x2001) return group1 > 0x01FF && group1 != 0x0DB8;   // 2001::/23, 2001:db8::/32
  if (group0 == 0x2002) return false;                                 // 2002::/16
  if (group0 == 0x2620 && group1 == 0x004F) return group2 != 0x8000;  // 2620:4f:8000::/48
  return group0 != 0x3FFF || group1 > 0x0FFF;                         // 3fff::/20
}

}  // namespace postcall::fuzz
