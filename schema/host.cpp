#include "schema/host.h"

#include <arpa/inet.h>
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace postcall {
namespace {

constexpr std::size_t kMaxNameBytes = 253;  // RFC 1035, the dot at the end not counted
constexpr std::size_t kMaxLabelBytes = 63;

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-_.";

bool ConsistsOf(std::string_view text, std::string_view characters) {
  return text.find_first_not_of(characters) == std::string_view::npos;
}

std::vector<std::string_view> Labels(std::string_view name) {
  std::vector<std::string_view> labels;
  for (std::size_t begin = 0;;) {
    const std::size_t dot = name.find('.', begin);
    labels.push_back(name.substr(begin, dot - begin));
    if (dot == std::string_view::npos) return labels;
    begin = dot + 1;
  }
}

// Whether a host with this last label is an IPv4 address (WHATWG URL, "ends in a number checker").
bool IsNumber(std::string_view label) {
  if (label.starts_with("0x")) return ConsistsOf(label.substr(2), kHexDigits);
  return !label.empty() && ConsistsOf(label, kDigits);
}

// Octal after "0", hexadecimal after "0x", else decimal (WHATWG URL, "IPv4 number parser").
std::optional<std::uint64_t> Number(std::string_view label) {
  if (!IsNumber(label)) return std::nullopt;
  std::uint64_t base = 10;
  if (label.starts_with("0x")) {
    base = 16;
    label.remove_prefix(2);
  } else if (label.size() > 1 && label.front() == '0') {
    base = 8;
  }
  std::uint64_t value = 0;
  for (const char c : label) {
    const std::uint64_t digit = kHexDigits.find(c);
    if (digit >= base) return std::nullopt;
    value = value * base + digit;
    if (value > 0xFFFFFFFF) return std::nullopt;
  }
  return value;
}

std::optional<std::string> Ipv4(const std::vector<std::string_view>& labels) {
  if (labels.size() > 4) return std::nullopt;
  std::uint64_t address = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::optional<std::uint64_t> number = Number(labels[i]);
    const bool last = i + 1 == labels.size();
    const std::size_t bits = last ? 8 * (4 - i) : 8;  // the last number has all bits that remain of the 32
    if (!number || *number >> bits != 0) return std::nullopt;
    address = (address << bits) | *number;
  }
  std::string text;
  for (const int shift : {24, 16, 8, 0}) {
    if (!text.empty()) text += '.';
    text += std::to_string((address >> shift) & 0xFF);
  }
  return text;
}

}  // namespace

Result<std::string> ParseHost(std::string_view text) {
  std::string host(text);
  for (char& c : host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '%' || static_cast<unsigned char>(c) >= 0x80) {
      return Error{
          "the host in the URL is not plain ASCII: write it in its ASCII form, which begins with xn--"};
    }
  }
  if (host.empty()) return Error{"the URL has no host: write one after ://"};
  if (!ConsistsOf(host, kNameCharacters)) {
    return Error{
        "the host in the URL has a character that no host name has: write letters, digits, '-' and '.'"};
  }
  std::string_view name = host;
  if (name.ends_with('.')) name.remove_suffix(1);
  const std::vector<std::string_view> labels = Labels(name);
  if (IsNumber(labels.back())) {
    std::optional<std::string> address = Ipv4(labels);
    if (address) return std::move(*address);
    return Error{
        "the host in the URL ends in a number but is not an IPv4 address: write four numbers from 0 to 255, "
        "or a name"};
  }
  if (name.size() > kMaxNameBytes) {
    return Error{"the host in the URL is longer than 253 characters: shorten it"};
  }
  for (const std::string_view label : labels) {
    if (label.empty()) return Error{"the host in the URL has one '.' too many: remove it"};
    if (label.size() > kMaxLabelBytes) {
      return Error{"the host in the URL has more than 63 characters between two dots: shorten it"};
    }
  }
  return host;
}

Result<std::string> ParseIpv6Host(std::string_view text) {
  if (text.find('%') != std::string_view::npos) {
    return Error{"the IPv6 address in the URL has a zone id: remove the '%' and what follows it"};
  }
  in6_addr address{};
  std::array<char, INET6_ADDRSTRLEN> canonical{};
  if (inet_pton(AF_INET6, std::string(text).c_str(), &address) != 1 ||
      inet_ntop(AF_INET6, &address, canonical.data(), canonical.size()) == nullptr) {
    return Error{
        "the text in brackets in the URL is not an IPv6 address: correct it, or remove the brackets"};
  }
  return std::string(canonical.data());
}

}  // namespace postcall
