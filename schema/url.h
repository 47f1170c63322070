// The URL of a customer's endpoint, taken apart strictly and written canonically, so that what is judged,
// what is limited and what libcurl gets are one and the same. Any thread; a value type.
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
  bool host_is_ipv6 = false;  // brackets are needed where a port may follow
  std::uint16_t port = 0;     // the scheme's own when the text has none; never 0 once parsed
  std::string target;         // path and query, ASCII; starts with '/'; no fragment
  std::string user;           // percent-decoded; Basic authentication when has_credentials
  std::string password;
  bool has_credentials = false;

  // scheme://host:port, the key of limits by endpoint: spellings of one endpoint give one text (CONTRACT §5).
  std::string Endpoint() const;

  // The whole URL without user name and password. It still has the query's values: not for a log line.
  std::string ToString() const;

  friend bool operator==(const Url&, const Url&) = default;
};

// Refused, with one sentence that names the mend and quotes nothing of the text: a scheme other than http and
// https, a backslash, a space, control characters, a zone id, a port that is not 1 to 65535, no host, a host
// that is not ASCII or no name, more than kMaxUrlBytes (CONTRACT §6). Numeric spellings of IPv4 are read as
// browsers and libcurl read them (2130706433 is 127.0.0.1).
Result<Url> ParseUrl(std::string_view text);

}  // namespace postcall
