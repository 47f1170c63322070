#include "schema/url.h"

#include <arpa/inet.h>
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "common/ascii.h"
#include "common/utf8.h"
#include "schema/host.h"

namespace postcall {
namespace {

bool IsControl(unsigned char byte) { return byte < 0x20 || byte == 0x7F; }

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return IsControl(static_cast<unsigned char>(c)); });
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// An error when the text has a character that no part of a URL may have.
std::optional<Error> CheckCharacters(std::string_view text) {
  if (text.empty()) return Error{"the URL is empty"};
  if (text.size() > kMaxUrlBytes) return Error{"the URL is longer than 8,192 bytes: shorten it"};
  if (!IsUtf8(text)) return Error{"the URL is not UTF-8: percent-encode its bytes"};
  for (const char c : text) {
    if (c == '\\') return Error{"the URL has a backslash: write '/', or %5C inside the path"};
    if (c == ' ') return Error{"the URL has a space: remove it, or write %20 inside the path"};
    if (IsControl(static_cast<unsigned char>(c))) return Error{"the URL has a control character: remove it"};
  }
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {  // U+0080 to U+009F, the C1 controls
    if (text[i] == '\xC2' && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      return Error{"the URL has a control character: remove it"};
    }
  }
  return std::nullopt;
}

// A '%' that does not begin an escape is kept, as browsers and libcurl do.
std::string PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexValue(text[i + 1]) >= 0 && HexValue(text[i + 2]) >= 0) {
      out += static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<Error> ReadUserInfo(std::string_view user_info, Url& url) {
  if (user_info.find('@') != std::string_view::npos) {
    return Error{"the URL has more than one '@' before its host: write %40 inside the user name or password"};
  }
  const std::size_t colon = user_info.find(':');
  url.user = PercentDecode(user_info.substr(0, colon));
  if (colon != std::string_view::npos) url.password = PercentDecode(user_info.substr(colon + 1));
  // RFC 7617, 2: neither may contain control characters, and the first ':' ends the user name.
  if (HasControl(url.user) || HasControl(url.password)) {
    return Error{"the user name or password in the URL has a control character: remove it"};
  }
  if (url.user.find(':') != std::string::npos) {
    return Error{"the user name in the URL has a ':', which Basic authentication cannot carry: remove it"};
  }
  url.has_credentials = !url.user.empty() || !url.password.empty();
  return std::nullopt;
}

std::optional<Error> ReadPort(std::string_view text, Url& url) {
  if (text.empty()) return std::nullopt;  // "host:" is "host" (RFC 3986, 3.2.3)
  std::uint32_t port = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return Error{"the port in the URL is not a number: write one from 1 to 65535"};
    port = port * 10 + static_cast<std::uint32_t>(c - '0');
    if (port > 65535) break;
  }
  if (port == 0 || port > 65535)
    return Error{"the port in the URL is out of range: write one from 1 to 65535"};
  url.port = static_cast<std::uint16_t>(port);
  return std::nullopt;
}

std::optional<Error> ReadHostAndPort(std::string_view text, Url& url) {
  url.host_is_ipv6 = text.starts_with('[');
  std::size_t host_end = text.find(':');
  if (url.host_is_ipv6) {
    const std::size_t bracket = text.find(']');
    if (bracket == std::string_view::npos)
      return Error{"the URL has a '[' without ']': close the IPv6 address"};
    host_end = bracket + 1;
  }
  const std::string_view host = text.substr(0, host_end);
  std::string_view port = text.substr(host.size());
  if (!port.empty()) {
    if (port.front() != ':') return Error{"the URL has text after the ']' of its IPv6 address: remove it"};
    port.remove_prefix(1);
    if (port.find(':') != std::string_view::npos) {
      return Error{"the URL has more than one ':' after its host: write an IPv6 address in brackets"};
    }
  }
  Result<std::string> parsed =
      url.host_is_ipv6 ? ParseIpv6Host(host.substr(1, host.size() - 2)) : ParseHost(host);
  if (!parsed) return Error{parsed.error()};
  url.host = std::move(*parsed);
  return ReadPort(port, url);
}

// Percent-encodes what RFC 3986 does not permit in a path or query, so that libcurl sends it unchanged.
std::string EncodeTarget(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string target;
  target.reserve(text.size() + 1);
  if (!text.starts_with('/')) target += '/';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || std::string_view("\"<>^`{|}").find(c) != std::string_view::npos) {
      target += '%';
      target += kHex[byte >> 4];
      target += kHex[byte & 0x0F];
    } else {
      target += c;
    }
  }
  return target;
}

std::uint16_t DefaultPort(std::string_view scheme) { return scheme == "https" ? 443 : 80; }

std::string Bracketed(const Url& url) { return url.host_is_ipv6 ? "[" + url.host + "]" : url.host; }

}  // namespace

std::string Url::Endpoint() const {
  std::string authority = Bracketed(*this);
  if (authority.ends_with('.')) authority.pop_back();  // with the root's dot it is the same endpoint
  return scheme + "://" + authority + ":" + std::to_string(port);
}

std::string Url::ToString() const {
  std::string text = scheme + "://" + Bracketed(*this);
  if (port != DefaultPort(scheme)) text += ":" + std::to_string(port);
  return text + target;
}

Result<Url> ParseUrl(std::string_view text) {
  if (auto error = CheckCharacters(text)) return std::move(*error);
  const std::size_t colon = text.find("://");
  Url url;
  if (colon != std::string_view::npos) url.scheme = ToLower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") {
    return Error{"the URL must begin with http:// or https://"};
  }
  url.port = DefaultPort(url.scheme);

  std::string_view rest = text.substr(colon + 3);
  rest = rest.substr(0, rest.find('#'));
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, end);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    if (auto error = ReadUserInfo(authority.substr(0, at), url)) return std::move(*error);
    authority.remove_prefix(at + 1);
  }
  if (auto error = ReadHostAndPort(authority, url)) return std::move(*error);
  url.target = EncodeTarget(rest.substr(end));
  return url;
}

}  // namespace postcall
