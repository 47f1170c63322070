// The host of a URL: a name, or an address in any of its spellings, made canonical. Any thread; pure.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace postcall {

// A name in lower case, a dot at its end kept; or an IPv4 address as dotted decimal, however it was spelled:
// a host whose last label is a number is an address or refused, never a name. `text` has no port.
Result<std::string> ParseHost(std::string_view text);

// An IPv6 address as inet_ntop prints it. `text` is what the brackets hold; a zone id is refused.
Result<std::string> ParseIpv6Host(std::string_view text);

}  // namespace postcall
