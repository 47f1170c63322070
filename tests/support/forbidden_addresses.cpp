#include "tests/support/forbidden_addresses.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <set>

namespace postcall::test {
namespace {

using boost::asio::ip::address;
using boost::asio::ip::address_v4;
using boost::asio::ip::address_v6;
using boost::asio::ip::make_address;
using boost::asio::ip::make_address_v4;
using boost::asio::ip::make_address_v6;

struct Range {
  const char* first;
  unsigned length;
};

// The IANA IPv4 Special-Purpose Address Registry; then multicast (RFC 5771), and one public address at which
// a cloud answers its own machines.
constexpr Range kIpv4[] = {
    {"0.0.0.0", 8},       {"0.0.0.0", 32},         {"10.0.0.0", 8},      {"100.64.0.0", 10},
    {"127.0.0.0", 8},     {"169.254.0.0", 16},     {"172.16.0.0", 12},   {"192.0.0.0", 24},
    {"192.0.0.0", 29},    {"192.0.0.8", 32},       {"192.0.0.9", 32},    {"192.0.0.10", 32},
    {"192.0.0.170", 32},  {"192.0.0.171", 32},     {"192.0.2.0", 24},    {"192.31.196.0", 24},
    {"192.52.193.0", 24}, {"192.88.99.0", 24},     {"192.88.99.2", 32},  {"192.168.0.0", 16},
    {"192.175.48.0", 24}, {"198.18.0.0", 15},      {"198.51.100.0", 24}, {"203.0.113.0", 24},
    {"240.0.0.0", 4},     {"255.255.255.255", 32}, {"224.0.0.0", 4},     {"168.63.129.16", 32},
};

// The IANA IPv6 Special-Purpose Address Registry, with the range after 64:ff9b::/96 instead of it; then
// site-local (RFC 3879), multicast (RFC 4291), and the space outside 2000::/3.
constexpr Range kIpv6[] = {
    {"::1", 128},           {"::", 128},        {"::ffff:0:0", 96},   {"64:ff9b::1:0:0", 96},
    {"64:ff9b:1::", 48},    {"100::", 64},      {"100:0:0:1::", 64},  {"2001::", 23},
    {"2001::", 32},         {"2001:1::1", 128}, {"2001:1::2", 128},   {"2001:1::3", 128},
    {"2001:2::", 48},       {"2001:3::", 32},   {"2001:4:112::", 48}, {"2001:10::", 28},
    {"2001:20::", 28},      {"2001:30::", 28},  {"2001:db8::", 32},   {"2002::", 16},
    {"2620:4f:8000::", 48}, {"3fff::", 20},     {"5f00::", 16},       {"fc00::", 7},
    {"fe80::", 10},         {"fec0::", 10},     {"ff00::", 8},        {"1000::", 4},
    {"4000::", 3},          {"8000::", 1},
};

// Addresses that an attacker wants to reach.
constexpr const char* kTargets[] = {"127.0.0.1",   "10.0.0.1",        "169.254.169.254", "172.16.0.1",
                                    "192.168.1.1", "100.100.100.200", "0.0.0.0",         "192.0.0.192"};

// The first `length` bits of `bytes`, then the bits of `fill`.
template <class Bytes>
Bytes Filled(Bytes bytes, unsigned length, std::uint8_t fill) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const unsigned fixed = length <= 8 * i ? 0 : std::min<unsigned>(8, length - static_cast<unsigned>(8 * i));
    const auto mask = static_cast<std::uint8_t>(0xFF >> fixed);
    bytes[i] = static_cast<std::uint8_t>((bytes[i] & ~mask) | (fill & mask));
  }
  return bytes;
}

// The spellings of IPv4 in IPv6: mapped, compatible, translated, NAT64 (and local NAT64 in each layout of RFC
// 6052), 6to4, Teredo as server and as client.
std::vector<address_v6> Spellings(const address_v4& inner) {
  const auto put = [](const char* prefix, const address_v4& ipv4, std::array<std::size_t, 4> at) {
    auto bytes = make_address_v6(prefix).to_bytes();
    for (std::size_t i = 0; i < 4; ++i) bytes[at[i]] = ipv4.to_bytes()[i];
    return address_v6(bytes);
  };
  constexpr std::array<std::size_t, 4> kEnd = {12, 13, 14, 15};
  return {put("::ffff:0:0", inner, kEnd),
          put("::", inner, kEnd),
          put("::ffff:0:0:0", inner, kEnd),
          put("64:ff9b::", inner, kEnd),
          put("64:ff9b:1::", inner, {6, 7, 9, 10}),
          put("64:ff9b:1::", inner, {7, 9, 10, 11}),
          put("64:ff9b:1::", inner, {9, 10, 11, 12}),
          put("64:ff9b:1::", inner, kEnd),
          put("2002::", inner, {2, 3, 4, 5}),
          put("2001::", inner, {4, 5, 6, 7}),
          put("2001:0:5db8:d822::", address_v4(~inner.to_uint()), kEnd)};
}

}  // namespace

std::vector<address> ForbiddenAddresses() {
  std::set<address> addresses;
  for (const std::uint8_t fill : std::to_array<std::uint8_t>({0x00, 0x5A, 0xFF})) {
    for (const Range& range : kIpv4) {
      addresses.insert(address_v4(Filled(make_address_v4(range.first).to_bytes(), range.length, fill)));
    }
    for (const Range& range : kIpv6) {
      addresses.insert(address_v6(Filled(make_address_v6(range.first).to_bytes(), range.length, fill)));
    }
  }
  for (const char* target : kTargets) {
    addresses.insert(make_address(target));
    for (const address_v6& spelling : Spellings(make_address_v4(target))) addresses.insert(spelling);
  }
  return {addresses.begin(), addresses.end()};
}

bool CanBeConnectedTo(const address& address) {
  if (address.is_v4()) return !address.is_multicast() && address != address_v4::broadcast();
  const address_v6 six = address.to_v6();
  if (six.is_v4_mapped()) {
    return CanBeConnectedTo(boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, six));
  }
  return !six.is_multicast() && !six.is_link_local();
}

std::string UrlOf(const address& address, std::uint16_t port) {
  const std::string host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  return "http://" + host + ":" + std::to_string(port) + "/";
}

}  // namespace postcall::test
