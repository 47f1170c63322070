// Reads the host of a URL, a name or an address in any spelling, and returns its canonical form. Any thread;
// pure.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace postcall {

// A name in lower case, with the dot at its end if it has one; or an IPv4 address, in any spelling, as dotted
// decimal. A host whose last label is a number is an address or is refused, never a name. `text` has no port.
Result<std::string> ParseHost(std::string_view text);

// An IPv6 address as inet_ntop prints it. `text` is the text between the brackets; a zone id is refused.
Result<std::string> ParseIpv6Host(std::string_view text);

}  // namespace postcall
