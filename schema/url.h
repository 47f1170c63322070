// The URL of a customer's endpoint, parsed strictly and written in its canonical form, so that the egress
// check, the limits and libcurl all see the same URL. Any thread; a value type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"

namespace postcall {

inline constexpr std::size_t kMaxUrlBytes = 8192;

struct Url {
  std::string scheme;         // "http" or "https"
  std::string host;           // lower case; IPv6 without brackets; numeric IPv4 as dotted decimal
  bool host_is_ipv6 = false;  // then the host needs brackets where a port may follow
  std::uint16_t port = 0;     // the scheme's default when the text has none; never 0 after parsing
  std::string target;         // path and query, ASCII; starts with '/'; no fragment
  std::string user;           // percent-decoded; Basic authentication when has_credentials
  std::string password;
  bool has_credentials = false;

  // scheme://host:port, the key of the limits per endpoint (CONTRACT §5). All spellings of one endpoint give
  // the same text.
  std::string Endpoint() const;

  // The whole URL without user name and password. It still has the query values, so do not log it.
  std::string ToString() const;

  friend bool operator==(const Url&, const Url&) = default;
};

// The error is one sentence that says what to do and quotes nothing of the text (CONTRACT §6). It refuses a
// scheme other than http and https, a backslash, a space, control characters, a zone id, a port that is not 1
// to 65535, a missing host, a host that is not ASCII or not a valid name, and more than kMaxUrlBytes. Numeric
// spellings of IPv4 are read as browsers and libcurl read them (2130706433 is 127.0.0.1).
Result<Url> ParseUrl(std::string_view text);

}  // namespace postcall
